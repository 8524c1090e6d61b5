"""Means over the tokens of training steps, of all processes: what a trainer logs of the loss."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Sums"]


class Sums:
    """Sums over the tokens of training steps since they were last taken: what goes into a log.

    They stay on the device, so that no step waits for one.
    """

    NAMES = ("nll", "likelihood", "bonus", "reward")

    def __init__(self) -> None:
        self._sums: Tensor | None = None

    def add(self, nll: Tensor, likelihood: Tensor, bonus: Tensor, reward: Tensor, kept: Tensor) -> None:
        """Add tokens: four values of each and whether it counts, all of one shape."""
        values = [torch.where(kept, value.detach(), 0.0).sum() for value in (nll, likelihood, bonus, reward)]
        sums = torch.stack([*values, kept.sum()]).to(torch.float32)
        self._sums = sums if self._sums is None else self._sums.to(sums.device) + sums

    def clear(self) -> None:
        """Begin anew."""
        self._sums = None

    def take(self) -> dict[str, float]:
        """Means over the tokens of all processes, and begin anew; empty where there was no token.

        All processes of a ``torch.distributed`` group have to call it together.
        """
        sums, self._sums = self._sums, None
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            if sums is None:
                sums = torch.zeros(len(self.NAMES) + 1, device=_communication_device())
            torch.distributed.all_reduce(sums)
        if sums is None:
            return {}
        *totals, count = sums.tolist()
        return {name: total / count for name, total in zip(self.NAMES, totals)} if count else {}


def _communication_device() -> torch.device:
    backend = torch.distributed.get_backend()
    return torch.device("cuda", torch.cuda.current_device()) if backend == "nccl" else torch.device("cpu")

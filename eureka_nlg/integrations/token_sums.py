"""Means over the tokens of training steps and of all processes, which a trainer logs."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Sums"]


class Sums:
    """Sums over the tokens of the training steps since the last log.

    They stay on the device, so that no step has to wait for it.

    Args:
        names: which means to return, from the first on.
    """

    NAMES = ("nll", "likelihood", "bonus", "reward")
    PLAIN = NAMES[:2]

    def __init__(self, names: tuple[str, ...] = NAMES) -> None:
        self.names = names
        self._sums: Tensor | None = None

    def add(self, nll: Tensor, likelihood: Tensor, bonus: Tensor, reward: Tensor, kept: Tensor) -> None:
        """Add tokens: four values of each token, and whether it counts; all tensors have the same shape."""
        values = [torch.where(kept, value.detach(), 0.0).sum() for value in (nll, likelihood, bonus, reward)]
        sums = torch.stack([*values, kept.sum()]).to(torch.float32)
        self._sums = sums if self._sums is None else self._sums.to(sums.device) + sums

    def clear(self) -> None:
        """Set all sums to zero."""
        self._sums = None

    def take(self) -> dict[str, float]:
        """Return the means over the tokens of all processes, and set the sums to zero.

        All processes of a ``torch.distributed`` group have to call it together. Without tokens the result is
        empty.
        """
        sums, self._sums = self._sums, None
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            if sums is None:
                sums = torch.zeros(len(self.NAMES) + 1, device=_communication_device())
            torch.distributed.all_reduce(sums)
        if sums is None:
            return {}
        *totals, count = sums.tolist()
        return {name: total / count for name, total in zip(self.names, totals)} if count else {}


def _communication_device() -> torch.device:
    backend = torch.distributed.get_backend()
    return torch.device("cuda", torch.cuda.current_device()) if backend == "nccl" else torch.device("cpu")

"""Deferral: a loss that starts at a later epoch."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

__all__ = ["Deferred"]


class Deferred(nn.Module):
    """One loss in the first epochs and another one afterwards, as marked by a dagger in the paper's tables.

    Call :meth:`set_epoch` at the start of every epoch, also after resuming: the epoch is not part of the
    state dict, and without it :attr:`current` raises RuntimeError rather than guess.

    Args:
        first: the loss before ``start_epoch``, a module or a function of (input, target).
        then: the loss from ``start_epoch`` on.
        start_epoch: the first epoch of ``then``; epochs are counted from 1.

    Raises:
        ValueError: ``start_epoch`` is not a whole number from 1 on.
        TypeError: ``first`` or ``then`` cannot be called.

    >>> import torch
    >>> from eureka_nlg.losses import EurekaLoss
    >>> loss_function = Deferred(nn.CrossEntropyLoss(), EurekaLoss(), start_epoch=6)
    >>> loss_function.set_epoch(6)
    >>> loss_function.current is loss_function.then
    True
    """

    def __init__(self, first: Any, then: Any, start_epoch: int) -> None:
        super().__init__()
        if isinstance(start_epoch, bool) or not isinstance(start_epoch, int) or start_epoch < 1:
            raise ValueError(f"start_epoch must be a whole number from 1 on, got {start_epoch!r}")
        for name, loss in (("first", first), ("then", then)):
            if not callable(loss):
                raise TypeError(f"{name} must be a loss, a module or function, got {type(loss).__name__}")
        self.first = first
        self.then = then
        self.start_epoch = start_epoch
        self.epoch: int | None = None

    def set_epoch(self, epoch: int) -> None:
        """Set the current epoch, counted from 1; it is passed on to losses that are deferred themselves."""
        if isinstance(epoch, bool) or not isinstance(epoch, int) or epoch < 1:
            raise ValueError(f"epoch must be a whole number from 1 on, got {epoch!r}")
        self.epoch = epoch
        for loss in (self.first, self.then):
            if hasattr(loss, "set_epoch"):
                loss.set_epoch(epoch)

    @property
    def current(self) -> Any:
        """The loss of the current epoch."""
        if self.epoch is None:
            raise RuntimeError("a deferred loss must be told the epoch: call set_epoch(epoch), from 1 on")
        return self.then if self.epoch >= self.start_epoch else self.first

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of the current epoch."""
        return self.current(input, target)

    def extra_repr(self) -> str:
        """Options as ``print(module)`` shows them."""
        return f"start_epoch={self.start_epoch}, epoch={self.epoch}"

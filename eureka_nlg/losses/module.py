"""The base class of the modules of all losses: options are attributes, and tensors among them are buffers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from eureka_nlg.losses.checks import Encouragement, check_encouragement
from eureka_nlg.losses.options import checked
from eureka_nlg.options import Options

__all__ = ["LossModule", "in_float32", "taken"]

T = TypeVar("T", bound=Options)


class LossModule(nn.Module):
    """A loss whose options are attributes, and buffers if they are tensors.

    Buffers follow ``.to(device)`` and are part of the state dict, but keep their dtype under ``.half()`` and
    ``.to(dtype)``: the weights of a long-tailed vocabulary exceed the range of half precision.
    """

    # names of options that may be tensors
    tensors: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.option_names = tuple(options)
        for name, value in options.items():
            if name in self.tensors and (value is None or isinstance(value, Tensor)):
                # None too, so that a tensor that is assigned later is a buffer, as in torch's losses
                self.register_buffer(name, None if value is None else value.detach().clone())
            else:
                setattr(self, name, value)

    @property
    def options(self) -> dict[str, Any]:
        """The options by name."""
        return {name: getattr(self, name) for name in self.option_names}

    def made(self, kind: type[T], **others: str) -> T:
        """The options of a class, from the module's attributes; ``others``: field -> attribute."""
        return checked(kind, *(getattr(self, others.get(field, field)) for field in kind.names()))

    def extra_repr(self) -> str:
        """Options as ``print(module)`` shows them."""
        shown = {
            name: list(value.shape) if isinstance(value, Tensor) else repr(value)
            for name, value in self.options.items()
            if value is not None
        }
        return ", ".join(f"{name}={value}" for name, value in shown.items())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LossModule:
        exact = dict(self.named_buffers())
        super()._apply(fn, recurse)
        for name, before in exact.items():
            moved = getattr(self, name)
            if moved.dtype != before.dtype:
                setattr(self, name, before.to(moved.device))  # the move, without the rounding
        return self


def taken(names: Iterable[str], arguments: dict[str, Any]) -> dict[str, Any]:
    """Remove the arguments of these names from keyword arguments, and return them."""
    return {name: arguments.pop(name) for name in names if name in arguments}


def in_float32(encouragement: Encouragement) -> Encouragement:
    """The encouragement, checked when the module is made; a tensor is converted to float32."""
    encouragement = check_encouragement(encouragement)
    return encouragement.to(torch.float32) if isinstance(encouragement, Tensor) else encouragement

"""Checks of the losses' arguments: a wrong call raises an error that says what was given and expected."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from eureka_nlg.losses.kernels import operator, passes
from eureka_nlg.losses.options import Impl, Reduction, check_shared

__all__ = [
    "Encouragement",
    "Options",
    "check_arguments",
    "check_encouragement",
    "check_halted_classes",
    "check_target",
    "check_tensors",
    "have_all_targets",
    "is_transformed",
    "needs_plain_operations",
    "num_classes_of",
]

Encouragement = Tensor | float | None


class Options(NamedTuple):
    """Arguments that all losses share; see :func:`eureka_nlg.losses.eureka_loss`."""

    weight: Tensor | None = None
    ignore_index: int = -100
    reduction: Reduction = "mean"
    label_smoothing: float = 0.0
    impl: Impl = "auto"

    def check(self) -> None:
        """Raise ValueError or TypeError if an option is invalid."""
        if self.weight is not None and not isinstance(self.weight, Tensor):
            given = type(self.weight).__name__
            raise TypeError(
                f"weight must be a tensor [C] with a number for each class, got {given}: "
                "give torch.as_tensor(weight)"
            )
        if not isinstance(self.ignore_index, int) and not hasattr(self.ignore_index, "__index__"):
            raise TypeError(
                f"ignore_index must be an integer, got {self.ignore_index!r}: "
                "leave it out for the default, -100, which is no class"
            )
        check_shared(self.label_smoothing, self.reduction, self.impl)


def check_encouragement(
    encouragement: Encouragement, num_classes: int | None = None, *, values: bool = True
) -> Encouragement:
    """Check an encouragement, and return it: a number as a float, a scalar tensor expanded to ``[C]``.

    Args:
        encouragement: None, a number >= 0, or a floating tensor ``[C]`` or ``[]`` of such numbers.
        num_classes: C; None if it is not known yet.
        values: whether to check the values of a tensor. They are checked on the CPU only, since reading them
            on a GPU would wait for the device, and not inside of ``torch.compile`` or ``torch.func``.

    Raises:
        ValueError: a value is negative or not finite, or the shape is wrong.
        TypeError: it is something else.
    """
    if encouragement is None:
        return None
    if not isinstance(encouragement, Tensor):
        # a tuple, since torch.compile of torch 2.6 cannot trace int | float
        if isinstance(encouragement, bool) or not isinstance(encouragement, (int, float)):
            raise TypeError(
                f"encouragement must be None, a number or a tensor [C], got {type(encouragement).__name__}"
            )
        if not 0.0 <= encouragement < math.inf:
            raise ValueError(f"encouragement must be finite and not negative, got {encouragement!r}")
        return float(encouragement)
    if encouragement.dim() == 0 and num_classes is not None:
        encouragement = encouragement.expand(num_classes)
    if encouragement.dim() > 1 or (num_classes is not None and encouragement.shape[0] != num_classes):
        expected = "[C]" if num_classes is None else f"[{num_classes}], one weight per class"
        raise ValueError(f"encouragement must have shape {expected}, got {list(encouragement.shape)}")
    if not encouragement.is_floating_point():
        raise TypeError(f"encouragement must be a floating tensor, got {encouragement.dtype}")
    if values and encouragement.device.type == "cpu" and not is_transformed(encouragement):
        numbers = encouragement.detach().reshape(-1)
        low, high = (number.item() for number in numbers.aminmax()) if numbers.numel() else (0.0, 0.0)
        if not 0.0 <= low <= high < math.inf:  # NaN is caught too
            index = int((~((numbers >= 0.0) & (numbers < math.inf))).nonzero()[0])
            bad = f"got {numbers[index].item()} for class {index}"
            raise ValueError(f"encouragement must be finite and not negative, {bad}")
    return encouragement


def have_all_targets(target: Tensor, num_classes: int, ignore_index: int) -> bool:
    """Whether all targets are known to be classes; False if finding out would wait for a device."""
    if target.device.type != "cpu" or is_transformed(target) or target.numel() == 0:
        return False
    low, high = (int(value) for value in target.aminmax())
    return low >= 0 and high < num_classes and not low <= ignore_index <= high


def check_target(target: Tensor, num_classes: int) -> None:
    """Raise IndexError if a target is not a class; on a GPU, torch's own assertion fails later instead."""
    if not is_transformed(target):
        passes.check_target(target, num_classes)


def is_transformed(*tensors: Tensor | None) -> bool:
    """Whether torch traces or transforms the call, so that values of tensors cannot be read."""
    return operator.is_traced(*tensors) or needs_plain_operations()


def needs_plain_operations() -> bool:
    """Whether only torch's own operations can be differentiated or traced here.

    That is inside of ``torch.func``, ``torch.jit.trace`` and forward-mode differentiation.
    """
    return (
        torch._C._are_functorch_transforms_active()
        or torch.jit.is_tracing()
        or forward_ad._current_level >= 0
    )


_OF_PROBABILITIES = (
    " in the shape of input: probabilities are not supported as targets; for mixup and cutmix give "
    "lam * loss(input, a) + (1 - lam) * loss(input, b)"
)


def _hint_of_shape(input: Tensor, target: Tensor) -> str:
    """Advice for a target of the wrong shape, if the mistake can be guessed; otherwise empty."""
    if target.shape == input.shape:
        class_dim = 1 if input.dim() > 1 else 0
        return f"; if it is one-hot, give target.argmax({class_dim})"
    if input.dim() > 2 and target.shape == input.shape[:-1]:
        return (
            f"; dimension 1, of size {input.shape[1]}, is the class dimension: if your classes are in the "
            "last dimension, give input.flatten(0, -2) and target.flatten()"
        )
    return ""


def check_arguments(input: Tensor, target: Tensor, options: Options) -> None:
    """Raise TypeError or ValueError if the arguments that all losses share do not fit each other."""
    options.check()
    check_tensors(input, target)
    num_classes = input.shape[1 if input.dim() > 1 else 0]
    weight = options.weight
    if weight is not None and weight.shape != (num_classes,):
        raise ValueError(f"weight must have shape [{num_classes}], got {list(weight.shape)}")


def check_tensors(input: Tensor, target: Tensor) -> None:
    """Raise TypeError or ValueError unless these are logits and class indices in matching shapes."""
    for name, given in (("input", input), ("target", target)):
        if not isinstance(given, Tensor):
            raise TypeError(
                f"{name} must be a tensor, got {type(given).__name__}: give torch.as_tensor({name})"
            )
    if not input.is_floating_point():
        raise TypeError(f"input must be floating logits, got {input.dtype}")
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        hint = "" if target.shape != input.shape else _OF_PROBABILITIES
        raise TypeError(f"target must hold integer class indices, got {target.dtype}{hint}")
    if input.dim() == 0:
        raise ValueError("input must have shape [C], [N, C] or [N, C, d1, ...], got a scalar")
    expected = input.shape[:1] + input.shape[2:] if input.dim() > 1 else input.shape[:0]
    if target.shape != expected:
        raise ValueError(
            f"target must have shape {list(expected)} for input of shape {list(input.shape)} "
            f"([N, C, d1, ...] takes [N, d1, ...]), got {list(target.shape)}"
            f"{_hint_of_shape(input, target)}"
        )


def num_classes_of(input: Tensor, target: Tensor) -> int:
    """Size of the class dimension of logits; 0 for a scalar, which is refused elsewhere.

    With more than two dimensions the user may have meant another one. So the shapes are checked first:
    otherwise the first error would be about the number of class weights, which is right.
    """
    if not isinstance(input, Tensor) or input.dim() > 2:
        check_tensors(input, target)
    return int(input.shape[1 if input.dim() > 1 else 0]) if input.dim() > 0 else 0


def check_halted_classes(halted: Tensor, num_classes: int) -> None:
    """Raise TypeError or ValueError unless this is a bool tensor ``[C]``."""
    if not isinstance(halted, Tensor) or halted.dtype != torch.bool:
        given = halted.dtype if isinstance(halted, Tensor) else type(halted).__name__
        raise TypeError(f"halted must be a bool tensor [C], got {given}")
    if halted.shape != (num_classes,):
        raise ValueError(
            f"halted must have shape [{num_classes}], one mark per class, got {list(halted.shape)}"
        )

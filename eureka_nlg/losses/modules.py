"""``torch.nn`` faces of the functions of the same names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from eureka_nlg.frequency import ClassCounts, ldam_margins
from eureka_nlg.frequency import encouragement as encouragement_of
from eureka_nlg.losses import functional, sigmoid
from eureka_nlg.losses.checks import Encouragement, Options, check_encouragement, check_reduction
from eureka_nlg.losses.objectives import Bonus, check_focal, check_halting_threshold

__all__ = [
    "EurekaLoss",
    "FocalLoss",
    "HaltedFocalLoss",
    "LDAMLoss",
    "LinearEurekaLoss",
    "SigmoidEurekaLoss",
    "SigmoidFocalLoss",
    "SigmoidHaltedFocalLoss",
]


class _Loss(nn.Module):
    """A loss whose options are attributes, tensors among them buffers.

    Buffers move with ``.to(device)`` and are stored in the state dict, but keep their dtype under ``.half()``
    and ``.to(dtype)``: a long-tailed vocabulary spans more orders of magnitude than half precision can.
    """

    # the function behind the module, called as function(input, target, **options)
    function: ClassVar[Callable[..., Tensor]]

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.option_names = tuple(options)
        for name, value in options.items():
            if isinstance(value, Tensor):
                self.register_buffer(name, value.detach().clone())
            else:
                setattr(self, name, value)

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of the function."""
        return {name: getattr(self, name) for name in self.option_names}

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of logits and targets in the shapes that the function takes."""
        return type(self).function(input, target, **self.options)

    def extra_repr(self) -> str:
        """Options as ``print(module)`` shows them."""
        shown = {
            name: list(value.shape) if isinstance(value, Tensor) else repr(value)
            for name, value in self.options.items()
            if value is not None
        }
        return ", ".join(f"{name}={value}" for name, value in shown.items())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> _Loss:
        exact = dict(self.named_buffers())
        super()._apply(fn, recurse)
        for name, before in exact.items():
            moved = getattr(self, name)
            if moved.dtype != before.dtype:
                setattr(self, name, before.to(moved.device))  # the move, without the rounding
        return self


class EurekaLoss(_Loss):
    """Module of :func:`eureka_nlg.losses.eureka_loss`; the arguments are the same.

    A tensor of encouragements becomes a float32 buffer.

    >>> loss_function = EurekaLoss.from_counts([900, 90, 9], beta=0.99)
    >>> loss_function(torch.randn(4, 3), torch.tensor([0, 1, 2, 2])).shape
    torch.Size([])
    """

    function = staticmethod(functional.eureka_loss)

    def __init__(
        self,
        encouragement: Encouragement = None,
        *,
        bonus: str = "likelihood",
        gamma: float = 1.0,
        threshold: float | None = None,
        likelihood_cap: float | None = None,
        likelihood_clamp: float | None = None,
        impl: str = "auto",
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        # What cannot work shows now, not at the first batch.
        Bonus(bonus, gamma, threshold, likelihood_cap, likelihood_clamp)
        encouragement = check_encouragement(encouragement)
        if isinstance(encouragement, Tensor):
            encouragement = encouragement.to(torch.float32)
        super().__init__(
            encouragement=encouragement,
            bonus=bonus,
            gamma=gamma,
            threshold=threshold,
            likelihood_cap=likelihood_cap,
            likelihood_clamp=likelihood_clamp,
            **_shared(weight, ignore_index, reduction, label_smoothing, impl),
        )

    @classmethod
    def from_counts(
        cls,
        class_counts: ClassCounts,
        beta: float = 0.999,
        *,
        measure: str = "effective_number",
        normalization: str = "mean_measure",
        **options: Any,
    ) -> EurekaLoss:
        """Build the loss from the training counts of the classes.

        Args:
            class_counts, beta, measure, normalization: as :func:`eureka_nlg.frequency.encouragement`.
            **options: as the constructor.

        Raises:
            ValueError: bad counts, beta or options.
        """
        weights = encouragement_of(
            class_counts, beta, measure=measure, normalization=normalization, dtype=torch.float32
        )
        return cls(weights, **options)


class LinearEurekaLoss(EurekaLoss):
    """Module of :func:`eureka_nlg.losses.linear_eureka_loss`, made like :class:`EurekaLoss`."""

    def forward(  # type: ignore[override]
        self, hidden: Tensor, linear_weight: Tensor, target: Tensor, linear_bias: Tensor | None = None
    ) -> Tensor:
        """Loss of hidden states ``[N, H]``, weights ``[C, H]``, class indices ``[N]`` and bias ``[C]``."""
        options = {name: value for name, value in self.options.items() if name != "impl"}
        return functional.linear_eureka_loss(
            hidden, linear_weight, target, linear_bias=linear_bias, **options
        )


class FocalLoss(_Loss):
    """Module of :func:`eureka_nlg.losses.focal_loss`; the arguments are the same."""

    function = staticmethod(functional.focal_loss)

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        alpha: float = 1.0,
        impl: str = "auto",
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        check_focal(gamma, alpha)
        super().__init__(
            gamma=gamma, alpha=alpha, **_shared(weight, ignore_index, reduction, label_smoothing, impl)
        )


class HaltedFocalLoss(_Loss):
    """Module of :func:`eureka_nlg.losses.halted_focal_loss`; the arguments are the same."""

    function = staticmethod(functional.halted_focal_loss)

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        threshold: float = 0.5,
        halted: Tensor | None = None,
        alpha: float = 1.0,
        impl: str = "auto",
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        check_focal(gamma, alpha)
        check_halting_threshold(threshold)
        if halted is not None:
            functional.check_halted_classes(halted, len(halted))
        super().__init__(
            gamma=gamma,
            threshold=threshold,
            halted=halted,
            alpha=alpha,
            **_shared(weight, ignore_index, reduction, label_smoothing, impl),
        )


def _loss_with_margins(
    input: Tensor, target: Tensor, *, margins: Tensor, scale: float, **shared: Any
) -> Tensor:
    return functional.loss_with_margins(input, target, margins, scale, Options(**shared))


class LDAMLoss(_Loss):
    """Module of :func:`eureka_nlg.losses.ldam_loss`; the arguments are the same.

    The margins, a float32 buffer, are computed once.
    """

    function = staticmethod(_loss_with_margins)

    def __init__(
        self,
        class_counts: ClassCounts,
        *,
        max_margin: float = 0.5,
        scale: float = 30.0,
        impl: str = "auto",
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        functional.check_scale(scale)
        super().__init__(
            margins=ldam_margins(class_counts, max_margin, dtype=torch.float32),
            scale=scale,
            **_shared(weight, ignore_index, reduction, label_smoothing, impl),
        )


class SigmoidFocalLoss(_Loss):
    """Module of :func:`eureka_nlg.losses.sigmoid_focal_loss`; the arguments are the same."""

    function = staticmethod(sigmoid.sigmoid_focal_loss)

    def __init__(self, *, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "none") -> None:
        check_focal(gamma)
        sigmoid.check_alpha(alpha)
        check_reduction(reduction)
        super().__init__(alpha=alpha, gamma=gamma, reduction=reduction)


class SigmoidHaltedFocalLoss(_Loss):
    """Module of :func:`eureka_nlg.losses.sigmoid_halted_focal_loss`; the arguments are the same."""

    function = staticmethod(sigmoid.sigmoid_halted_focal_loss)

    def __init__(
        self,
        *,
        alpha: float = 0.25,
        gamma: float = 2.0,
        threshold: float = 0.5,
        halted: str = "positive",
        reduction: str = "none",
    ) -> None:
        check_focal(gamma)
        check_halting_threshold(threshold)
        sigmoid.check_alpha(alpha)
        check_reduction(reduction)
        sigmoid.check_halted(halted)
        super().__init__(alpha=alpha, gamma=gamma, threshold=threshold, halted=halted, reduction=reduction)


class SigmoidEurekaLoss(_Loss):
    """Module of :func:`eureka_nlg.losses.sigmoid_eureka_loss`; the arguments are the same."""

    function = staticmethod(sigmoid.sigmoid_eureka_loss)

    def __init__(
        self,
        encouragement: Encouragement = None,
        *,
        bonus: str = "likelihood",
        bonus_gamma: float = 1.0,
        threshold: float | None = None,
        likelihood_cap: float | None = None,
        likelihood_clamp: float | None = None,
        alpha: float = 0.25,
        gamma: float = 2.0,
        reduction: str = "none",
    ) -> None:
        check_focal(gamma)
        sigmoid.check_alpha(alpha)
        check_reduction(reduction)
        Bonus(bonus, bonus_gamma, threshold, likelihood_cap, likelihood_clamp)
        encouragement = check_encouragement(encouragement)
        if isinstance(encouragement, Tensor):
            encouragement = encouragement.to(torch.float32)
        super().__init__(
            encouragement=encouragement,
            bonus=bonus,
            bonus_gamma=bonus_gamma,
            threshold=threshold,
            likelihood_cap=likelihood_cap,
            likelihood_clamp=likelihood_clamp,
            alpha=alpha,
            gamma=gamma,
            reduction=reduction,
        )


def _shared(
    weight: Tensor | None, ignore_index: int, reduction: str, label_smoothing: float, impl: str
) -> dict[str, Any]:
    options = Options(weight, ignore_index, reduction, label_smoothing, impl)
    options.check()
    return options._asdict()

"""``torch.nn`` modules for the losses of independent classes in :mod:`.sigmoid`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor
from typing_extensions import Unpack

from eureka_nlg.losses import sigmoid
from eureka_nlg.losses.bonus import Bonus, OtherBonusOptions
from eureka_nlg.losses.checks import Encouragement, check_encouragement
from eureka_nlg.losses.module import LossModule, in_float32, taken
from eureka_nlg.losses.objectives import Focal, HaltedFocal, ScalarLoss
from eureka_nlg.losses.options import (
    Reduction,
    SigmoidArguments,
    check_shared,
    refuse_unknown,
    shows_arguments_of,
)
from eureka_nlg.options import Options

__all__ = ["SigmoidEurekaLoss", "SigmoidFocalLoss", "SigmoidHaltedFocalLoss", "SigmoidLoss"]


class SigmoidEurekaArguments(OtherBonusOptions, SigmoidArguments, total=False):
    """Keyword arguments of :class:`SigmoidEurekaLoss`; see :func:`eureka_nlg.losses.sigmoid_eureka_loss`."""


class SigmoidLoss(LossModule):
    """Module for any :class:`~.objectives.ScalarLoss` of independent classes: logits and 0/1 targets -> loss.

    Args:
        loss: the loss with its options, which become attributes.
        alpha, reduction, ignore_index: as in :func:`eureka_nlg.losses.sigmoid_focal_loss`.
    """

    alpha: float
    reduction: Reduction
    ignore_index: int | None = None  # a class attribute, for modules that were pickled without it
    kind: type[Any]

    def __init__(self, loss: ScalarLoss, **shared: Unpack[SigmoidArguments]) -> None:
        self._build(loss, {}, shared)

    def _build(self, loss: Options, named: Mapping[str, Any], shared: Mapping[str, Any]) -> None:
        refuse_unknown(type(self).__name__, shared, SigmoidArguments.__annotations__)
        reduction = shared.get("reduction", "none")
        check_shared(reduction=reduction)
        alpha = sigmoid.Balance(shared.get("alpha", 0.25)).alpha
        ignored = sigmoid.Ignored(shared.get("ignore_index")).ignore_index
        LossModule.__init__(
            self, **named, alpha=alpha, **loss.values(), reduction=reduction, ignore_index=ignored
        )
        self.kind = type(loss)

    def absent(self) -> ScalarLoss | None:
        """The loss of absent classes; None if it is the loss of present ones."""
        return None

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of logits and 0/1 targets of the same shape."""
        return sigmoid.loss_of_sigmoids(
            input,
            target,
            self.made(self.kind),
            self.absent(),
            alpha=self.alpha,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
        )


class SigmoidFocalLoss(SigmoidLoss):
    """Module for :func:`eureka_nlg.losses.sigmoid_focal_loss`; the arguments are the same."""

    @shows_arguments_of(sigmoid.sigmoid_focal_loss)
    def __init__(self, *, gamma: float = 2.0, **shared: Unpack[SigmoidArguments]) -> None:
        super().__init__(Focal(gamma), **shared)


class SigmoidHaltedFocalLoss(SigmoidLoss):
    """Module for :func:`eureka_nlg.losses.sigmoid_halted_focal_loss`; the arguments are the same."""

    halted: sigmoid.Halted

    @shows_arguments_of(sigmoid.sigmoid_halted_focal_loss)
    def __init__(
        self,
        *,
        gamma: float = 2.0,
        threshold: float = 0.5,
        halted: sigmoid.Halted = "positive",
        **shared: Unpack[SigmoidArguments],
    ) -> None:
        side = sigmoid.HaltedSide(halted)
        self._build(HaltedFocal(gamma, threshold), side.values(), shared)

    def absent(self) -> ScalarLoss | None:
        """See :class:`SigmoidLoss`."""
        return self.made(Focal) if self.halted == "positive" else None


class SigmoidEurekaLoss(SigmoidLoss):
    """Module for :func:`eureka_nlg.losses.sigmoid_eureka_loss`; the arguments are the same."""

    tensors: ClassVar[tuple[str, ...]] = ("encouragement",)
    encouragement: Encouragement

    @shows_arguments_of(sigmoid.sigmoid_eureka_loss)
    def __init__(
        self,
        encouragement: Encouragement = None,
        *,
        bonus_gamma: float = 1.0,
        gamma: float = 2.0,
        **options: Unpack[SigmoidEurekaArguments],
    ) -> None:
        shared: dict[str, Any] = {**options}
        given = taken(Bonus.names(), shared)
        bonus = sigmoid.bonus_beside_focal(type(self).__name__, bonus_gamma, given).values()
        named = {"encouragement": in_float32(encouragement), "bonus_gamma": bonus.pop("gamma"), **bonus}
        self._build(Focal(gamma), named, shared)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """See :class:`SigmoidLoss`."""
        num_classes = input.shape[-1] if input.dim() > 0 else 1
        return sigmoid.rewarded_sigmoids(
            input,
            target,
            check_encouragement(self.encouragement, num_classes, values=False),
            self.made(Bonus, gamma="bonus_gamma"),
            self.made(Focal),
            self.alpha,
            self.reduction,
            self.ignore_index,
        )

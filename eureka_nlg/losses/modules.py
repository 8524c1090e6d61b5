"""``torch.nn`` modules for the functions with the corresponding names: ``FocalLoss`` for ``focal_loss``.

A module checks its options when it is made. The options are its attributes, and tensors are buffers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import Self, Unpack

from eureka_nlg.frequency import ClassCounts, EncouragementOptions, Measure, Normalization, ldam_margins
from eureka_nlg.losses import functional
from eureka_nlg.losses.bonus import (
    PRESETS,
    Bonus,
    BonusKind,
    BonusOptions,
    Preset,
    PresetName,
)
from eureka_nlg.losses.checks import Encouragement, check_encouragement, check_halted_classes, num_classes_of
from eureka_nlg.losses.checks import Options as Shared
from eureka_nlg.losses.logits import loss_of_logits
from eureka_nlg.losses.module import LossModule, in_float32, taken
from eureka_nlg.losses.objectives import (
    Factor,
    Focal,
    HaltedFocal,
    Margins,
    Objective,
    ScalarLoss,
    eureka_objective,
)
from eureka_nlg.losses.options import (
    Impl,
    Reduction,
    SharedArguments,
    refuse_unknown,
    shows_arguments_of,
)
from eureka_nlg.losses.projection import loss_of_projection
from eureka_nlg.losses.runaway import RunawayWatch
from eureka_nlg.losses.sigmoid_modules import (
    SigmoidEurekaLoss,
    SigmoidFocalLoss,
    SigmoidHaltedFocalLoss,
    SigmoidLoss,
)
from eureka_nlg.options import Options, option_fields

__all__ = [
    "EurekaLoss",
    "FocalLoss",
    "HaltedFocalLoss",
    "LDAMLoss",
    "LinearEurekaLoss",
    "LogitsLoss",
    "SigmoidEurekaLoss",
    "SigmoidFocalLoss",
    "SigmoidHaltedFocalLoss",
    "SigmoidLoss",
]


class EurekaArguments(BonusOptions, SharedArguments, total=False):
    """Keyword arguments of :class:`EurekaLoss`; see :func:`eureka_nlg.losses.eureka_loss`."""


class LogitsLoss(LossModule):
    """Module for any :class:`~.objectives.ScalarLoss`: logits and class indices -> loss.

    Args:
        loss: the loss with its options, which become attributes.
        weight, ignore_index, reduction, label_smoothing, impl: as in :func:`eureka_nlg.losses.eureka_loss`.
    """

    tensors: ClassVar[tuple[str, ...]] = ("weight",)
    weight: Tensor | None
    ignore_index: int
    reduction: Reduction
    label_smoothing: float
    impl: Impl
    kind: type[Any]

    def __init__(self, loss: ScalarLoss, **shared: Unpack[SharedArguments]) -> None:
        self._build(loss, {}, shared)

    def _build(self, loss: Options, named: Mapping[str, Any], shared: Mapping[str, Any]) -> None:
        refuse_unknown(type(self).__name__, shared, Shared._fields)
        arguments = Shared(**shared)
        arguments.check()
        LossModule.__init__(self, **loss.values(), **named, **arguments._asdict())
        self.kind = type(loss)

    @property
    def shared(self) -> Shared:
        """The arguments that all losses share."""
        return Shared(self.weight, self.ignore_index, self.reduction, self.label_smoothing, self.impl)

    def objective(self, num_classes: int) -> Objective:
        """The loss as a function of log-odds and targets, on the device of the module's buffers."""
        made: ScalarLoss = self.made(self.kind)
        return made.objective()

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of logits and targets, in the shapes that the function accepts."""
        return loss_of_logits(input, target, self.objective(num_classes_of(input, target)), self.shared)


class FocalLoss(LogitsLoss):
    """Module for :func:`eureka_nlg.losses.focal_loss`; the arguments are the same."""

    alpha: float

    @shows_arguments_of(functional.focal_loss)
    def __init__(self, *, gamma: float = 2.0, alpha: float = 1.0, **shared: Unpack[SharedArguments]) -> None:
        self._build(Focal(gamma), {"alpha": Factor(alpha).alpha}, shared)

    def objective(self, num_classes: int) -> Objective:
        """See :class:`LogitsLoss`."""
        return super().objective(num_classes).times(self.alpha)


class HaltedFocalLoss(LogitsLoss):
    """Module for :func:`eureka_nlg.losses.halted_focal_loss`; the arguments are the same."""

    tensors: ClassVar[tuple[str, ...]] = ("weight", "halted")
    halted: Tensor | None
    alpha: float

    @shows_arguments_of(functional.halted_focal_loss)
    def __init__(
        self,
        *,
        gamma: float = 2.0,
        threshold: float = 0.5,
        halted: Tensor | None = None,
        alpha: float = 1.0,
        **shared: Unpack[SharedArguments],
    ) -> None:
        if halted is not None:
            check_halted_classes(halted, len(halted))
        named = {"halted": halted, "alpha": Factor(alpha).alpha}
        self._build(HaltedFocal(gamma, threshold), named, shared)

    def objective(self, num_classes: int) -> Objective:
        """See :class:`LogitsLoss`."""
        if self.halted is not None:
            check_halted_classes(self.halted, num_classes)
        return self.made(HaltedFocal).objective(self.halted).times(self.alpha)


class EurekaLoss(RunawayWatch, LogitsLoss):
    """Module for :func:`eureka_nlg.losses.eureka_loss`; the arguments are the same.

    A tensor of encouragements becomes a float32 buffer. The exact loss is not bounded from below, so a mean
    below -100 raises a ``UserWarning``, once. On CPUs every call is checked, on other devices one in a
    thousand.

    >>> loss_function = EurekaLoss.from_counts([900, 90, 9], beta=0.99)
    >>> loss_function(torch.randn(4, 3), torch.tensor([0, 1, 2, 2])).shape
    torch.Size([])
    """

    tensors: ClassVar[tuple[str, ...]] = ("weight", "encouragement")
    encouragement: Encouragement
    bonus: BonusKind
    likelihood_cap: float | None
    likelihood_clamp: float | None

    @shows_arguments_of(functional.eureka_loss)
    def __init__(self, encouragement: Encouragement = None, **options: Unpack[EurekaArguments]) -> None:
        shared: dict[str, Any] = {**options}
        bonus = Bonus(**taken(Bonus.names(), shared))
        self._build(bonus, {"encouragement": in_float32(encouragement)}, shared)

    @classmethod
    @shows_arguments_of(functional.eureka_loss, without=("input", "target", "encouragement"))
    def from_counts(
        cls,
        class_counts: ClassCounts,
        beta: float = 0.999,
        *,
        measure: Measure = "effective_number",
        normalization: Normalization = "mean_measure",
        exponent: float = 1.0,
        scale: float = 1.0,
        **options: Unpack[EurekaArguments],
    ) -> Self:
        """Build the loss from the training counts of the classes.

        Args:
            class_counts, beta, measure, normalization, exponent, scale: as in
                :func:`eureka_nlg.frequency.encouragement`.
            **options: as in the constructor.

        Raises:
            ValueError: the counts, beta or an option are invalid.
        """
        weights = EncouragementOptions(beta, measure, normalization, exponent, scale)
        return cls(weights.of(class_counts, torch.float32), **options)

    @classmethod
    def preset(cls, name: PresetName, class_counts: ClassCounts, **options: Any) -> Self:
        """Build one of the variants that have a name, from the training counts of the classes.

        Args:
            name: ``"recommended_images"``, ``"recommended_text"``, or a variant of the authors:
                ``"printed"``, ``"released"``, ``"encouraging"`` or ``"encouraging_low"``; see
                :data:`~.bonus.PRESETS`.
            class_counts: training examples of each class, ``[C]`` non-negative integers.
            **options: as in :meth:`from_counts`; they override the preset. For images with the variants of
                the authors give ``beta=0.9999``, as the papers and the configs have it.

        Raises:
            ValueError: the name, the counts or an option are invalid.

        >>> EurekaLoss.preset("released", [900, 90, 9]).likelihood_clamp
        0.99999
        """
        values = PRESETS[Preset(name).preset]
        for kind in (EncouragementOptions, Bonus):
            for flat, declared in option_fields(kind).items():
                if flat in values:
                    options.setdefault(declared.name, values[flat])
        return cls.from_counts(class_counts, **options)

    def objective(self, num_classes: int) -> Objective:
        """See :class:`LogitsLoss`."""
        encouragement = check_encouragement(self.encouragement, num_classes, values=False)
        return eureka_objective(encouragement, self.made(Bonus))

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """See :class:`LogitsLoss`."""
        loss = super().forward(input, target)
        if self._can_run_away():
            self.watch(loss)
        return loss

    def _can_run_away(self) -> bool:
        """Whether the loss is a mean that is not bounded from below."""
        return self.reduction == "mean" and not self.made(Bonus).is_bounded


class LinearEurekaLoss(EurekaLoss):
    """Module for :func:`eureka_nlg.losses.linear_eureka_loss`, with the arguments of :class:`EurekaLoss`.

    It has no ``impl``, since there is only one implementation.
    """

    @shows_arguments_of(functional.eureka_loss, without=("input", "target", "impl"))
    def __init__(self, encouragement: Encouragement = None, **options: Unpack[EurekaArguments]) -> None:
        if "impl" in options:
            raise TypeError(
                "LinearEurekaLoss takes no impl, since it has one implementation: for the reference give "
                "F.linear(hidden, linear_weight, linear_bias) to EurekaLoss(impl='reference')"
            )
        super().__init__(encouragement, **options)
        self.option_names = tuple(name for name in self.option_names if name != "impl")

    def forward(  # type: ignore[override]
        self, hidden: Tensor, linear_weight: Tensor, target: Tensor, linear_bias: Tensor | None = None
    ) -> Tensor:
        """Loss of hidden states ``[N, H]``, weight ``[C, H]``, class indices ``[N]`` and bias ``[C]``."""
        functional.refuse_learned(encouragement=self.encouragement, weight=self.weight)
        objective = self.objective(linear_weight.shape[0])
        loss = loss_of_projection(hidden, linear_weight, linear_bias, target, objective, self.shared)
        if self._can_run_away():
            self.watch(loss)
        return loss


class LDAMLoss(LogitsLoss):
    """Module for :func:`eureka_nlg.losses.ldam_loss`; the arguments are the same.

    The margins are computed once and kept in a float32 buffer.
    """

    tensors: ClassVar[tuple[str, ...]] = ("weight", "margins")
    margins: Tensor
    scale: float

    @shows_arguments_of(functional.ldam_loss)
    def __init__(
        self,
        class_counts: ClassCounts,
        *,
        max_margin: float = 0.5,
        scale: float = 30.0,
        **shared: Unpack[SharedArguments],
    ) -> None:
        margins = ldam_margins(class_counts, max_margin, dtype=torch.float32)
        self._build(Margins(max_margin, scale), {"margins": margins}, shared)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """See :class:`LogitsLoss`."""
        return functional.loss_with_margins(input, target, self.margins, self.scale, self.shared)

"""The loss of a batch of tokens for any trainer: a sum, divided by the items of the accumulated batch."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import Unpack

from eureka_nlg.errors import UserError
from eureka_nlg.frequency import ClassCounts, EncouragementOptions, Measure, Normalization
from eureka_nlg.integrations.token_sums import Sums
from eureka_nlg.losses.bonus import CAPPED, Bonus, BonusOptions
from eureka_nlg.losses.checks import Encouragement, Options, check_encouragement
from eureka_nlg.losses.kernels import incoming
from eureka_nlg.losses.logits import loss_and_log_odds
from eureka_nlg.losses.objectives import (
    SCALAR_LOSSES,
    CrossEntropy,
    Objective,
    ScalarLoss,
    eureka_objective,
)
from eureka_nlg.losses.options import built, shows_arguments_of
from eureka_nlg.losses.projection import loss_and_log_odds_of_projection
from eureka_nlg.losses.runaway import RunawayWatch

__all__ = ["FORMS", "IGNORED", "SAFE_NORMALIZATION", "TokenLoss", "per_class"]

IGNORED = -100
FORMS = ("capped", "paper")
SAFE_NORMALIZATION: Normalization = "mean_weight"
"""The default normalisation of the weights of a vocabulary; see :meth:`TokenLoss.from_counts`."""


class TokenLoss(RunawayWatch):
    """The Eureka loss of a batch, or another one, divided by the number of items that its trainer counted.

    A step counts as training if gradients are recorded. Otherwise the loss is plain cross-entropy, so that an
    ``eval_loss`` stays comparable and cannot choose a model whose loss has run away.

    Args:
        encouragement: weight of the bonus: None for one, a number, or a tensor ``[C]``; see
            :meth:`from_counts`. A tensor that is shorter than the model's vocabulary, which is often padded,
            is filled up with zeros.
        form: ``"capped"``, the safe form: above a likelihood, by default 0.75, the bonus continues linearly;
            ``"paper"``: the exact loss, which falls without bound as likelihoods go to one.
        label_smoothing: as in torch; applied in training only.
        start_epoch, start_step: the first epoch (from 1) or optimiser step (from 1) with the reward; the loss
            is plain cross-entropy before. The trainer then has to call :meth:`set_progress`.
        loss: another loss to train with instead: a :class:`~eureka_nlg.losses.objectives.ScalarLoss`, or the
            name of one with its defaults, such as ``"dft"`` or ``"focal"``. It has no encouragement, form or
            bonus.
        **bonus: options of the bonus, as in :func:`eureka_nlg.losses.eureka_loss`; the paper's form has no
            cap.

    Raises:
        ValueError, TypeError: an unknown option, or an invalid value.
    """

    @shows_arguments_of(Bonus, defaults=CAPPED)
    def __init__(
        self,
        encouragement: Encouragement = None,
        *,
        form: str = "capped",
        label_smoothing: float = 0.0,
        start_epoch: int | None = None,
        start_step: int | None = None,
        loss: ScalarLoss | str | None = None,
        **bonus: Unpack[BonusOptions],
    ) -> None:
        if form not in FORMS:
            raise ValueError(f"form must be one of {', '.join(FORMS)}, got {form!r}")
        self.loss = _scalar_loss(loss)
        if self.loss is not None and (encouragement is not None or form != "capped" or bonus):
            raise ValueError(f"loss={loss!r} has no encouragement, form or bonus: leave these out")
        self.form = form
        given: dict[str, Any] = dict(bonus)
        if form == "paper" and given.get("likelihood_cap") is not None:
            raise ValueError(
                f"form='paper' has no cap, got likelihood_cap={given['likelihood_cap']!r}: leave one out"
            )
        self.bonus = built(Bonus, type(self).__name__, {**(CAPPED if form == "capped" else {}), **given})
        if form == "capped" and self.bonus.linear_from == 1.0:
            raise ValueError(
                "the capped form needs a cap; for the exact loss, or one that only a clamp or the power "
                "bonus bounds, give form='paper'"
            )
        encouragement = check_encouragement(encouragement)
        if isinstance(encouragement, Tensor):
            encouragement = encouragement.detach().to("cpu", torch.float32)
        self.encouragement = encouragement
        Options(label_smoothing=label_smoothing).check()
        self.label_smoothing = label_smoothing
        if start_epoch is not None and start_step is not None:
            raise ValueError("give start_epoch or start_step, not both")
        for name, value in (("start_epoch", start_epoch), ("start_step", start_step)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} must be a whole number from 1 on, got {value!r}")
        self.start_epoch, self.start_step = start_epoch, start_step
        self.progress: tuple[int, int] | None = None
        self.sums = self._no_sums()
        self.num_training_calls = 0
        self._per_class: Tensor | None = None

    @classmethod
    def from_counts(
        cls,
        class_counts: ClassCounts,
        beta: float = 0.999,
        *,
        measure: Measure = "effective_number",
        normalization: Normalization = SAFE_NORMALIZATION,
        exponent: float = 1.0,
        scale: float = 1.0,
        **options: Any,
    ) -> Any:
        """Build the loss from the training counts of the classes.

        Args:
            class_counts, beta, measure, normalization, exponent, scale: as in
                :func:`eureka_nlg.frequency.encouragement`, but with mean weight one by default. With the
                paper's ``"mean_measure"``, the bonus of the rarest of 50,000 tokens would weigh hundreds of
                times as much as their cross-entropy.
            **options: as in the constructor.

        Raises:
            ValueError: bad counts or options.
        """
        weights = EncouragementOptions(beta, measure, normalization, exponent, scale)
        return cls(weights.of(class_counts, torch.float32), **options)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_per_class": None, "sums": self._no_sums()}

    def _no_sums(self) -> Sums:
        return Sums() if self.loss is None else Sums(Sums.PLAIN)

    def __repr__(self) -> str:
        if self.loss is not None:
            return f"{type(self).__name__}(loss={self.loss!r})"
        weights = self.encouragement
        shown = f"[{len(weights)}]" if isinstance(weights, Tensor) else repr(weights)
        return f"{type(self).__name__}(encouragement={shown}, form={self.form!r}, bonus={self.bonus})"

    def set_progress(self, epoch: int, step: int) -> None:
        """Set the current epoch and optimiser step, both counted from 1."""
        self.progress = (epoch, step)

    @property
    def needs_logits(self) -> bool:
        """Whether the loss cannot be computed as cross-entropy plus :meth:`reward_of_log_probs`."""
        return self.loss is not None or self.form != "capped"

    @property
    def has_started(self) -> bool:
        """Whether the reward, or the other loss, has taken effect.

        Raises:
            RuntimeError: this depends on the progress, but :meth:`set_progress` was not called.
        """
        if self.start_epoch is None and self.start_step is None:
            return True
        if self.progress is None:
            raise RuntimeError(
                "a loss with start_epoch or start_step has to know the progress: add loss.callback to the "
                "trainer's callbacks, or call loss.set_progress(epoch, step)"
            )
        epoch, step = self.progress
        return epoch >= self.start_epoch if self.start_epoch is not None else step >= (self.start_step or 1)

    def of_logits(
        self, logits: Tensor, target: Tensor, num_items: Tensor | int | None = None, training: bool = True
    ) -> Tensor:
        """Loss of logits.

        Args:
            logits: ``[N, C]``, floating; they are read in their own dtype, without a float32 copy.
            target: ``[N]``, class indices or -100.
            num_items: the sum over the rows is divided by this; None for the number of rows that count. A
                batch without such rows has loss zero.
            training: False for plain cross-entropy, which is also used where no gradients are recorded.

        Returns:
            float32 scalar (float64 for float64 logits).
        """
        num_classes = logits.shape[-1]
        target = target.to(logits.device)
        objective, options, training = self._terms(num_classes, logits.device, training)
        denominator = _denominator(num_items, target != IGNORED)
        _expect_division(denominator, logits.dtype)
        loss, log_odds = loss_and_log_odds(logits, target, objective, options)
        if training:
            self._record(log_odds, target, num_classes)
        return self._watched(loss / denominator, training)

    def of_projection(
        self,
        hidden: Tensor,
        linear_weight: Tensor,
        linear_bias: Tensor | None,
        target: Tensor,
        num_items: Tensor | int | None = None,
        training: bool = True,
    ) -> Tensor:
        """The loss of ``F.linear(hidden, linear_weight, linear_bias)``, which is never held as a whole.

        Args:
            hidden: ``[N, H]``, floating.
            linear_weight: ``[C, H]``.
            linear_bias: ``[C]``, or None.
            target, num_items, training: as in :meth:`of_logits`.
        """
        num_classes = len(linear_weight)
        target = target.to(hidden.device)
        objective, options, training = self._terms(num_classes, hidden.device, training)
        denominator = _denominator(num_items, target != IGNORED)
        _expect_division(denominator, hidden.dtype)
        loss, log_odds = loss_and_log_odds_of_projection(
            hidden, linear_weight, linear_bias, target, objective, options
        )
        if training:
            self._record(log_odds, target, num_classes)
        return self._watched(loss / denominator, training)

    def _watched(self, mean: Tensor, training: bool) -> Tensor:
        if training and self.loss is None and self.has_started and not self.bonus.is_bounded:
            self.watch(mean.detach())
        return mean

    def tell_running_away(self, message: str) -> None:
        """See :class:`RunawayWatch`."""
        warnings.warn(f"{message}form='capped' bounds it", stacklevel=5)

    def reward_of_log_probs(
        self, log_probs: Tensor, target: Tensor, num_classes: int, num_items: Tensor | int | None = None
    ) -> Tensor:
        """The reward that is added to the cross-entropy of a training step, from the targets' ``log p`` only.

        Args:
            log_probs: ``[...]``, log-likelihood of each target, in nats.
            target: ``[...]``, class indices or -100.
            num_classes: number of classes of the model's output.
            num_items: as in :meth:`of_logits`.

        Raises:
            UserError: the form is the paper's, or this is another loss. Once p rounds to one, log(1 - p)
                cannot be computed from it.
        """
        if self.loss is not None:
            raise UserError(
                f"loss={self.loss!r} is no reward on top of cross-entropy: use the fused layer of "
                "eureka_nlg.integrations.transformers"
            )
        if self.form != "capped":
            raise UserError(
                "form='paper' needs the logits, because log(1 - p) of a log-probability that rounds to zero "
                "is -inf; give form='capped', or use the fused layer of eureka_nlg.integrations.transformers"
            )
        kept = target != IGNORED
        log_probs = torch.where(kept, log_probs, -1.0).float()
        bonus = self.bonus.of_log_likelihood(log_probs)
        classes = torch.where(kept, target, 0)
        factor = self._reward_factor(num_classes, classes)
        reward = factor * bonus
        self.num_training_calls += 1
        with torch.no_grad():
            self.sums.add(-log_probs, log_probs.exp(), bonus, reward, kept)
        return torch.where(kept, reward, 0.0).sum() / _denominator(num_items, kept)

    def _terms(
        self, num_classes: int, device: torch.device, training: bool
    ) -> tuple[Objective, Options, bool]:
        training = training and torch.is_grad_enabled()
        if not training:
            return CrossEntropy().objective(), Options(ignore_index=IGNORED, reduction="sum"), False
        options = Options(ignore_index=IGNORED, reduction="sum", label_smoothing=self.label_smoothing)
        if not self.has_started:
            return CrossEntropy().objective(), options, True
        if self.loss is not None:
            return self.loss.objective(), options, True
        return eureka_objective(self._weights(num_classes, device), self.bonus), options, True

    @torch.no_grad()
    def _record(self, log_odds: Tensor, target: Tensor, num_classes: int) -> None:
        self.num_training_calls += 1
        kept = target != IGNORED
        if self.loss is None:
            bonus = self.bonus(log_odds)
            factor = self._reward_factor(num_classes, torch.where(kept, target, 0))
        else:
            bonus, factor = torch.zeros_like(log_odds), 0.0
        self.sums.add(-F.logsigmoid(log_odds), log_odds.sigmoid(), bonus, factor * bonus, kept)

    def _reward_factor(self, num_classes: int, classes: Tensor) -> Tensor | float:
        """Encouragement of each of these classes; 0 before the reward has started."""
        if not self.has_started:
            return 0.0
        weights = self._weights(num_classes, classes.device)
        if isinstance(weights, Tensor):
            return weights[classes]
        return 1.0 if weights is None else weights

    def _weights(self, num_classes: int, device: torch.device) -> Encouragement:
        if not isinstance(self.encouragement, Tensor):
            return self.encouragement
        known = self._per_class
        if known is None or known.device != device or len(known) != num_classes:
            known = per_class(self.encouragement, num_classes).to(device)
            self._per_class = known
        return known


def _scalar_loss(loss: ScalarLoss | str | None) -> ScalarLoss | None:
    if isinstance(loss, str):
        if loss not in SCALAR_LOSSES:
            raise ValueError(f"loss must be one of {', '.join(SCALAR_LOSSES)}, got {loss!r}")
        return SCALAR_LOSSES[loss]()
    if loss is not None and not isinstance(loss, ScalarLoss):
        raise TypeError(f"loss must be a ScalarLoss or the name of one, got {type(loss).__name__}")
    return loss


def per_class(values: Tensor, num_classes: int) -> Tensor:
    """Extend or cut values ``[C']`` to ``[num_classes]``; outputs beyond the given classes get zero.

    Raises:
        UserError: a value that is not zero for a class that the model does not have.
    """
    if len(values) > num_classes and bool(values[num_classes:].any()):
        raise UserError(
            f"encouragement has {len(values)} classes, the model has {num_classes}, and class "
            f"{int(values.nonzero()[-1])} has a weight: count the targets with the vocabulary of this model"
        )
    return F.pad(values[:num_classes], (0, max(0, num_classes - len(values))))


def _denominator(num_items: Tensor | int | None, kept: Tensor) -> Tensor:
    items = kept.sum() if num_items is None else torch.as_tensor(num_items).to(kept.device).flatten()[0]
    return items.clamp(min=1)


def _expect_division(denominator: Tensor, dtype: torch.dtype) -> None:
    """Tell the fused loss the factor of its gradient, on a CPU, where reading it costs nothing."""
    if denominator.device.type == "cpu" and not torch.compiler.is_compiling():
        of_loss = torch.float64 if dtype == torch.float64 else torch.float32
        incoming.expect(float(torch.ones((), dtype=of_loss) / denominator))

"""The bonus of the Eureka loss with its options, and the presets: the variants that its authors use."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import TypedDict

from eureka_nlg.frequency import IMAGE_BETA, EncouragementOptions
from eureka_nlg.losses.kernels import ClosedForm
from eureka_nlg.losses.options import options_of
from eureka_nlg.options import BadOption, Options, option

__all__ = [
    "CAPPED",
    "PRESETS",
    "Bonus",
    "BonusKind",
    "BonusOptions",
    "OtherBonusOptions",
    "Preset",
    "PresetName",
    "bounding_options",
    "eureka_options",
    "log_odds_of",
]

BonusKind = Literal["likelihood", "power"]


class OtherBonusOptions(TypedDict, total=False):
    """The options of :class:`Bonus` without gamma, for functions in which gamma is focal loss's exponent."""

    bonus: BonusKind
    threshold: float | None
    likelihood_cap: float | None
    likelihood_clamp: float | None


class BonusOptions(OtherBonusOptions, total=False):
    """The options of :class:`Bonus`, for the type checker, where a function takes them as ``**options``."""

    gamma: float


CAPPED: BonusOptions = {"likelihood_cap": 0.75}
"""The bonus of the preset ``"encouraging"``, which bounds the loss from below."""

_RECOMMENDED: BonusOptions = {"likelihood_cap": 0.9}
# Options that bound the loss from below, with the values that messages suggest to start with.
_BOUNDING: BonusOptions = {**_RECOMMENDED, "likelihood_clamp": 0.99999}


def bounding_options(spelled: str = "{name}={value}") -> str:
    """The options that bound the loss from below, as text for a message that recommends them.

    Args:
        spelled: template of an option with its value; ``{name}``, ``{flag}`` (the form for a command line)
            and ``{value}`` are filled in.
    """
    return " or ".join(
        spelled.format(name=name, flag=f"--{name.replace('_', '-')}", value=value)
        for name, value in _BOUNDING.items()
    )


@dataclass(frozen=True)
class Bonus(Options):
    """The bonus of the Eureka loss as a function of the target's log-odds; never positive.

    Source: paper, Eq. 8 (likelihood), Eq. 10 (power), Eq. 11 (threshold); :func:`.eureka_loss` explains the
    options. The cap is the "conservative" bonus of Zhao et al. 2022, "Well-classified Examples are
    Underestimated in Classification with Deep Neural Networks".
    """

    bonus: BonusKind = option("likelihood", "likelihood: log(1 - p); power: -p ** gamma", choices=BonusKind)
    gamma: float = option(1.0, "exponent of the power bonus", above=0, name="bonus_gamma")
    threshold: float | None = option(
        None,
        "no bonus up to this likelihood; above it the bonus starts from zero",
        at_least=0,
        below=1,
        name="bonus_threshold",
    )
    likelihood_cap: float | None = option(
        None,
        "above this likelihood the bonus is linear, which bounds the loss; without it the loss is exact",
        above=0,
        below=1,
    )
    likelihood_clamp: float | None = option(
        None,
        "above this likelihood the bonus is constant, as where 1 - p is clamped from below",
        above=0,
        below=1,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.likelihood_clamp is not None and not (self.threshold or 0.0) < self.likelihood_clamp:
            expected = f"above the threshold of the bonus, which is {self.threshold!r}"
            raise BadOption("likelihood_clamp", expected, self.likelihood_clamp)

    @property
    def linear_from(self) -> float:
        """The likelihood above which the bonus is linear; 1 if it never is."""
        return 1.0 if self.likelihood_cap is None else self.likelihood_cap

    def __call__(self, log_odds: Tensor) -> Tensor:
        """Bonus of each element, in the same shape; twice differentiable, and 0 where log-odds are +inf."""
        clamp = self.likelihood_clamp
        value = self._capped(log_odds if clamp is None else log_odds.clamp(max=log_odds_of(clamp)))
        if self.threshold:
            value = torch.where(log_odds > log_odds_of(self.threshold), value - self._at(self.threshold), 0.0)
        # Log-odds of +inf mean that no other class could be chosen: there is nothing to reward.
        return value.masked_fill(log_odds == math.inf, 0.0)

    @property
    def is_bounded(self) -> bool:
        """Whether the bonus has a lower bound, so that the loss has a minimum.

        A bounded bonus can be computed from p alone; ``log(1 - p)`` cannot, once p rounds to 1.
        """
        return self.bonus == "power" or any(getattr(self, name) is not None for name in _BOUNDING)

    def of_log_likelihood(self, log_likelihood: Tensor) -> Tensor:
        """Bonus of each ``log p``, in the same shape, for callers that do not know ``log(1 - p)``.

        If the bonus :attr:`is_bounded`, the result is exact up to the rounding of ``log p``.
        """
        clamp, cap = self.likelihood_clamp, self.linear_from
        log_p = log_likelihood if clamp is None else log_likelihood.clamp(max=math.log(clamp))
        if self.bonus == "power":
            value = -torch.exp(self.gamma * log_p)
        else:
            # keeps the branch that is not taken finite, as in _capped
            known = torch.where(log_p > math.log(cap), -1.0, log_p) if cap < 1.0 else log_p
            value = torch.log(-torch.expm1(known))
        if cap < 1.0:
            tangent = self._exact_at(cap) + self._slope_at(cap) * (torch.exp(log_p) - cap)
            value = torch.where(log_p > math.log(cap), tangent, value)
        if self.threshold:
            started = log_likelihood > math.log(self.threshold)
            value = torch.where(started, value - self._at(self.threshold), 0.0)
        return value

    def closed_form(self) -> ClosedForm:
        """Cross-entropy plus this bonus, as numbers for the compiled pass."""
        form = ClosedForm(reward=1.0 if self.bonus == "likelihood" else 2.0, bonus_gamma=self.gamma)
        if self.threshold:
            form = replace(form, starts_from=log_odds_of(self.threshold), starts_at=self._at(self.threshold))
        if self.likelihood_clamp is not None:
            form = replace(form, clamp_from=log_odds_of(self.likelihood_clamp))
        cap = self.linear_from
        if cap == 1.0:
            return form
        at_cap, slope_at_cap = self._exact_at(cap), self._slope_at(cap)
        return replace(form, cap_from=log_odds_of(cap), cap=cap, at_cap=at_cap, slope_at_cap=slope_at_cap)

    def _capped(self, log_odds: Tensor) -> Tensor:
        cap = self.linear_from
        if cap == 1.0:
            return self._exact(log_odds)
        # The branch that is not taken must stay finite, or its gradient of zero would turn into NaN.
        above = log_odds > log_odds_of(cap)
        below_cap = self._exact(torch.where(above, 0.0, log_odds))
        # p - cap, written so that it stays precise for p near 1
        past_cap = (1.0 - cap) - torch.sigmoid(-log_odds)
        return torch.where(above, self._exact_at(cap) + self._slope_at(cap) * past_cap, below_cap)

    def _exact(self, log_odds: Tensor) -> Tensor:
        if self.bonus == "likelihood":
            return F.logsigmoid(-log_odds)
        return -torch.exp(self.gamma * F.logsigmoid(log_odds))

    def _at(self, likelihood: float) -> float:
        cap = self.linear_from
        if likelihood <= cap:
            return self._exact_at(likelihood)
        return self._exact_at(cap) + self._slope_at(cap) * (likelihood - cap)

    def _exact_at(self, likelihood: float) -> float:
        return math.log1p(-likelihood) if self.bonus == "likelihood" else -(likelihood**self.gamma)

    def _slope_at(self, likelihood: float) -> float:
        """Derivative of the bonus with respect to the likelihood."""
        if self.bonus == "likelihood":
            return -1.0 / (1.0 - likelihood)
        return -self.gamma * likelihood ** (self.gamma - 1.0)


PresetName = Literal[
    "printed", "released", "encouraging", "encouraging_low", "recommended_images", "recommended_text"
]

PRESETS: dict[str, dict[str, Any]] = {
    "printed": {},
    "released": {"encouragement_normalization": "mean_weight", "likelihood_clamp": 0.99999},
    "encouraging": {"encouragement_measure": "one", **CAPPED},
    "encouraging_low": {"encouragement_measure": "one", "likelihood_cap": 0.5},
    "recommended_images": {**_RECOMMENDED, "beta": IMAGE_BETA},
    "recommended_text": {**_RECOMMENDED, "encouragement_scale": 16.0},
}
"""The variants that the authors use, and ours, as the options in which each differs from the printed paper.

``"released"`` is the variant of their published code for images. ``"encouraging"`` is the encouraging loss of
their follow-up paper (Zhao et al. 2022), linear above 0.75; ``"encouraging_low"`` is linear above 0.5, which
they recommend "for all settings tested". The recommended ones are this project's: the printed weights, for
text sixteen times as large, with a bonus that is linear above 0.9, so that the loss does not run away. In
``"recommended_images"`` beta is the papers' value for images; the others take that of the caller.
"""


@dataclass(frozen=True)
class Preset(Options):
    """One of the :data:`PRESETS`."""

    preset: PresetName = option(
        "printed",
        "variant of the Eureka loss; options that are not at their defaults override it",
        choices=PresetName,
    )


def eureka_options(config: Any) -> tuple[EncouragementOptions, Bonus]:
    """The options of the encouragement and of the bonus, from a config that may also name a preset.

    Args:
        config: see :func:`eureka_nlg.losses.options.options_of`. An option that is at its default takes the
            value of the preset.

    Raises:
        BadOption: an option has an invalid value.
    """
    preset = PRESETS[options_of(config, Preset).preset]
    return (
        options_of(config, EncouragementOptions, defaults=preset),
        options_of(config, Bonus, defaults=preset),
    )


def log_odds_of(likelihood: float) -> float:
    """The log-odds of a likelihood in (0, 1)."""
    return math.log(likelihood) - math.log1p(-likelihood)

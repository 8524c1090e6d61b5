"""Options of the loss of a classification run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from eureka_nlg.frequency import (
    IMAGE_BETA,
    ClassWeightOptions,
    EncouragementOptions,
    LogitAdjustmentOptions,
    RarestOptions,
)
from eureka_nlg.losses.bonus import Bonus, Preset, eureka_options
from eureka_nlg.losses.gem import GEM
from eureka_nlg.losses.objectives import SCALAR_LOSSES, Margins
from eureka_nlg.losses.options import LabelSmoothing, options_of, with_options_of
from eureka_nlg.options import Options
from eureka_nlg.vision.config_file import RenamedOptions
from eureka_nlg.vision.loop_config import described

__all__ = ["LossConfig"]

LOSS_NAMES = (*SCALAR_LOSSES, "eureka", "ldam", "logit_adjusted", "gem")
LOSS_OPTIONS: tuple[type[Options], ...] = (
    *SCALAR_LOSSES.values(),
    RarestOptions,
    ClassWeightOptions,
    LogitAdjustmentOptions,
    GEM,
    Preset,
    Bonus,
    EncouragementOptions,
    Margins,
    LabelSmoothing,
)
if TYPE_CHECKING:
    LossName = str
else:
    LossName = Literal[LOSS_NAMES]


@dataclass
@with_options_of(*LOSS_OPTIONS, defaults={"beta": IMAGE_BETA})
class LossConfig:
    """One loss of :mod:`eureka_nlg.losses`, with the options of all losses.

    Raises:
        BadOption: an option has an invalid value.
    """

    name: LossName = field(default="cross_entropy", metadata=described("name of the loss"))
    class_balanced: bool = field(
        default=False,
        metadata=described("weight the loss (eureka: its cross-entropy) by class_weight"),
    )

    # Old names, some of which several losses shared: old name -> loss (None: any) -> new name.
    RENAMED: ClassVar[RenamedOptions] = {
        "gamma": {"focal": "focal_gamma", "halted_focal": "focal_gamma", "eureka": "bonus_gamma"},
        "threshold": {"halted_focal": "halting_threshold", "eureka": "bonus_threshold"},
        "encouragement": {None: "encouragement_measure"},
        "normalization": {None: "encouragement_normalization"},
    }

    def __post_init__(self) -> None:
        for options in LOSS_OPTIONS:
            options_of(self, options)
        eureka_options(self)

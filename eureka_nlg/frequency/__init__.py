"""From training counts to class weights: effective number, encouragement, class-balanced weight.

Everything is computed in float64. Classes that never occur (count 0) are left out of every mean and have
weight 0, since they are never a target.
"""

from eureka_nlg.frequency.class_weights import (
    ClassWeight,
    ClassWeightOptions,
    MeanOver,
    class_balanced_weight,
    face_weight,
    inverse_frequency_weight,
)
from eureka_nlg.frequency.counts import (
    IMAGE_BETA,
    ClassBalancedOptions,
    ClassCounts,
    RarestOptions,
    check_class_counts,
    effective_number,
    rarest_classes,
)
from eureka_nlg.frequency.margins import LogitAdjustmentOptions, MarginOptions, ldam_margins, log_prior
from eureka_nlg.frequency.reward_weights import (
    EncouragementOptions,
    Measure,
    Normalization,
    encouragement,
)

__all__ = [
    "IMAGE_BETA",
    "ClassBalancedOptions",
    "ClassCounts",
    "ClassWeight",
    "ClassWeightOptions",
    "EncouragementOptions",
    "LogitAdjustmentOptions",
    "MarginOptions",
    "MeanOver",
    "Measure",
    "Normalization",
    "RarestOptions",
    "check_class_counts",
    "class_balanced_weight",
    "effective_number",
    "encouragement",
    "face_weight",
    "inverse_frequency_weight",
    "ldam_margins",
    "log_prior",
    "rarest_classes",
]

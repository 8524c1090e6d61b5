"""Criterions, registered with fairseq when this package is imported."""

from fairseq_plugins.criterions.baselines import (
    ClassBalancedCriterion,
    ClassBalancedCriterionConfig,
    FocalCriterion,
    FocalCriterionConfig,
    HaltedFocalCriterion,
    HaltedFocalCriterionConfig,
)
from fairseq_plugins.criterions.eureka import EurekaCriterion, EurekaCriterionConfig

__all__ = [
    "ClassBalancedCriterion",
    "ClassBalancedCriterionConfig",
    "EurekaCriterion",
    "EurekaCriterionConfig",
    "FocalCriterion",
    "FocalCriterionConfig",
    "HaltedFocalCriterion",
    "HaltedFocalCriterionConfig",
]

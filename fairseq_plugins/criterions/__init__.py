"""Criterions, registered with fairseq when this package is imported."""

from fairseq_plugins.criterions.eureka import EurekaCriterion, EurekaCriterionConfig

__all__ = ["EurekaCriterion", "EurekaCriterionConfig"]

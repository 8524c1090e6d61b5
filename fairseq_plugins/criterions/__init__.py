"""Criterions, registered with fairseq when this package is imported."""

from fairseq_plugins.criterions import baselines, eureka
from fairseq_plugins.criterions.baselines import *  # noqa: F403 - what is listed there
from fairseq_plugins.criterions.eureka import *  # noqa: F403

__all__ = baselines.__all__ + eureka.__all__

"""Criterions, registered with fairseq when this package is imported."""

from fairseq_plugins.criterions import baselines, eureka, whole_row
from fairseq_plugins.criterions.baselines import *  # noqa: F403 - what is listed there
from fairseq_plugins.criterions.eureka import *  # noqa: F403
from fairseq_plugins.criterions.whole_row import *  # noqa: F403

__all__ = baselines.__all__ + eureka.__all__ + whole_row.__all__

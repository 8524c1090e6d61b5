"""Expected calibration error: how far confidence and accuracy are apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["bin_of_confidence"]


def bin_of_confidence(confidence: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """The bin of each confidence, 0 to ``bins`` - 1.

    The bins have equal width and are open on the left, as in Guo et al. (2017): (0, 1/15], (1/15, 2/15], ...

    Args:
        confidence: ``[N]`` likelihood of the predicted class, 0 to 1.
        bins: number of bins.
    """
    edges = np.linspace(0, 1, bins + 1)
    return np.asarray(np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1))

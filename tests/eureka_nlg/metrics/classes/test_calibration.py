"""Bins of the calibration error, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from eureka_nlg.metrics.classes.calibration import bin_of_confidence


@pytest.mark.parametrize(
    ("confidence", "bins", "expected"),
    [
        (
            [0.0, 0.1, 0.25, 0.26, 0.5, 0.51, 0.75, 0.76, 1.0],
            4,
            [0, 0, 0, 1, 1, 2, 2, 3, 3],
        ),  # open on the left
        ([0.2, 1 / 15 + 1e-9, 0.9, 14 / 15 + 1e-9, 1.0], 15, [2, 1, 13, 14, 14]),
        ([0.0, 0.5, 1.0], 1, [0, 0, 0]),
        ([1.0000001], 15, [14]),  # as rounding leaves a softmax
    ],
)
def test_bins(confidence: list[float], bins: int, expected: list[int]) -> None:
    assert bin_of_confidence(np.array(confidence), bins).tolist() == expected

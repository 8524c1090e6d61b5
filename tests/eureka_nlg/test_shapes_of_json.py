"""What is read back is compared with the shape of what is written."""

from __future__ import annotations

import math
from typing import Any

import pytest

from eureka_nlg.shapes_of_json import ANY, NUMBER, PERCENT, SCORE, TEXT, WHOLE, each, misfit


@pytest.mark.parametrize(
    ("shape", "good", "bad"),
    [
        (SCORE, [None, 0, -1.5], [math.nan, math.inf, True, "1", [], 1j]),
        (PERCENT, [None, 0, 100, 0.5], [-0.1, 100.1, math.nan, True, "1"]),
        (NUMBER, [0, -1.5, math.nan, math.inf], [None, True, "1", {}]),
        (WHOLE, [0, 2**53], [-1, 2**53 + 1, 1.0, True, None, "1"]),
        (TEXT, ["", "a"], [None, 1, b"a"]),
        (ANY, [None, 1, {}, []], []),
        ([WHOLE], [[], [1, 2]], [None, {}, [1, None], "1"]),
        ({"a": WHOLE}, [{"a": 1}, {"a": 1, "b": None}], [None, [], {}, {"a": None}]),
        ({"a?": WHOLE}, [{"a": 1}, {}, {"a?": "x"}], [None, {"a": "x"}]),
        (each(WHOLE), [{}, {"a": 1, "b": 2}], [None, {"a": 1, "b": None}]),
        (each([{"b": TEXT}]), [{"a": [{"b": "c"}]}], [{"a": [{"b": 1}]}, {"a": {"b": "c"}}]),
    ],
    ids=str,
)
def test_shapes(shape: Any, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if misfit(value, shape)] == []
    assert [value for value in bad if not misfit(value, shape)] == []


def test_the_place_is_named() -> None:
    shape = {"runs": [{"epochs": WHOLE}], "name?": TEXT}
    assert (
        misfit({"runs": [{"epochs": 1}, {"epochs": "x"}]}, shape)
        == "epochs is 'x', expected a whole number from 0 on"
    )
    assert misfit({"runs": [{}]}, shape) == "runs, item 1, has no epochs"
    assert misfit({"runs": [], "name": 1}, shape) == "name is 1, expected text"
    assert misfit(3, shape) == "the document is 3, expected an object"

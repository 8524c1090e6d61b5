"""What is read is bounded, and the bound is in the message."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eureka_nlg import limits
from eureka_nlg.errors import UserError
from eureka_nlg.files import read_json
from eureka_nlg.limits import DEEPEST, MOST_DIGITS, parse_json, parse_json_at
from eureka_nlg.option_files import read_options

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(JSON, st.booleans())
def test_json_is_what_the_standard_library_reads(value: Any, ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii)
    assert parse_json(text) == value
    assert parse_json_at(f"1,{text}]", 2) == (value, len(text) + 2)


@pytest.mark.parametrize(
    ("opening", "closing"),
    [("[", "]"), ('{"a":', "}"), ('[{"]":', "}]"), ('{"\\"[":[', "]}")],
    ids=("lists", "objects", "a bracket in a name", "a quotation mark and a bracket in a name"),
)
def test_depth(opening: str, closing: str) -> None:
    times = DEEPEST if opening in ("[", '{"a":') else DEEPEST // 2
    assert parse_json(opening * times + "1" + closing * times)
    beyond = "[" + opening * times + "1" + closing * times + "]"
    for reader in (parse_json, lambda text: parse_json_at(text, 0)):
        with pytest.raises(ValueError, match=f"nested more than {DEEPEST} deep"):
            reader(beyond)


@given(st.text(st.sampled_from('[]{}",:\\1 ')))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert _outcome(parse_json, text) == _outcome(json.loads, text)


def _outcome(read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except ValueError as error:
        return str(error)


def test_a_million_levels_and_digits_cost_nothing() -> None:
    start = time.process_time()
    for text in ("[" * 1_000_000, '{"a":' * 1_000_000, "1" * 10_000_000):
        with pytest.raises(ValueError, match=r"nested more than|a number of 10,000,000 digits"):
            parse_json(text)
    assert time.process_time() - start < 5


def test_every_whole_number_is_a_floating_point_number() -> None:
    assert math.isfinite(parse_json("9" * MOST_DIGITS))
    with pytest.raises(ValueError, match="a number of 301 digits; expected at most 300"):
        parse_json("9" * (MOST_DIGITS + 1))


def test_half_a_character_cannot_be_shown_later(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(r'{"name": "\ud83d\ude00"}')
    assert read_json(path) == {"name": "😀"}
    path.write_text(r'{"name": "\uD83d"}')
    with pytest.raises(UserError, match=r"a.json: is no JSON \(.ud83d is half of a character\)"):
        read_json(path)


@given(st.text(st.sampled_from("ab: -[]{}&*!|>'\"#%?<\n\t0129.~"), max_size=40))
def test_any_override_is_a_value_or_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "empty.yaml"
    path.write_text("")
    assert list(read_options(path, [f"a={text}"], extra="fairseq", examples="", override_example="")) == ["a"]


def test_every_bound_is_generous() -> None:
    """What a user may well have: a reply of a megabyte, a vector of 4,096, a million classes."""
    assert limits.LONGEST_LINE >= 1 << 20
    assert limits.WIDEST_VECTOR >= 4096
    assert limits.LARGEST_CLASS >= 1_000_000

"""Options that fairseq evaluates as Python are parsed, and nothing in them is run."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eureka_nlg.dialogue.no_code import loadable, no_code, parse_value
from eureka_nlg.errors import UserError


@pytest.mark.parametrize(
    "text",
    [
        *(
            "True",
            "False",
            "0",
            "1",
            "-3",
            "1e-8",
            "None",
            "'text'",
            "0.9, 0.98",
            "(0.9, 0.98)",
            "[0.25]",
            "[]",
        ),
        *(
            "[(512, 3)] * 20",
            "[(512, 3)] * 9 + [(1024, 3)] * 4",
            "3 * (2 - 1)",
            "{'a': [1, (2,)]}",
            " 1 ",
            "+1",
        ),
    ],
)
def test_what_eval_would_give(text: str) -> None:
    assert parse_value(text) == eval(text)
    assert type(parse_value(text)) is type(eval(text))


def test_truth_in_any_case() -> None:
    assert [parse_value(text) for text in ("true", "FALSE", "none")] == [True, False, None]


ATTACKS = [
    "__import__('os').system('touch hacked')",
    "open('hacked', 'w')",
    "[x for x in ().__class__.__base__.__subclasses__()]",
    "(lambda: 1)()",
    "().__class__",
    "exit",
    "f'{open}'",
    "[*range(9)]",
    "{**{}}",
    "9 ** 9 ** 9",
    "[0] * 10 ** 9",
    "[[0] * 9999] * 9999 * 9999",
    "'a' * 99999999999",
    "(" * 500 + ")" * 500,
    "1 if True else 2",
    "-" * 1500 + "1",
    "1" * 5000,
    "0" * 1999 + "x",
    "true or false",
    "1;2",
    "",
    "a = 1",
    "\x00",
    "'x' - 1",
    "-[1]",
    "b'bytes'",
    "...",
]


@pytest.mark.parametrize("text", ATTACKS, ids=lambda text: text[:20])
def test_code_is_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"option value .*expected true or false, a number, or a list"):
        parse_value(text)
    assert not list(tmp_path.iterdir())


@given(
    st.recursive(
        st.one_of(
            st.booleans(),
            st.integers(),
            st.floats(allow_nan=False, allow_infinity=False),
            st.text(max_size=9),
        ),
        st.lists,
    )
)
def test_any_value_comes_back(value: Any) -> None:
    if len(repr(value)) < 2000:
        assert parse_value(repr(value)) == value


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with contextlib.suppress(UserError):
        parse_value(text)


def test_fairseq_evaluates_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    utils = pytest.importorskip("fairseq.utils")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    attack = "open('hacked', 'w') and True"
    with no_code():
        for function in (utils.eval_bool, utils.eval_str_list, utils.eval_str_dict):
            with pytest.raises(UserError, match="option value"):
                function(attack)
        assert utils.eval_bool("True") is True
        assert utils.eval_bool(None, True) is True
        assert (
            utils.eval_bool(1, True) is True
        )  # eval of no text is a TypeError, which fairseq takes as absent
        assert utils.eval_str_list("0.9, 0.98") == [0.9, 0.98]
        assert "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD" not in os.environ
    assert not list(tmp_path.iterdir())
    assert utils.eval_bool("1 < 2")  # afterwards fairseq is as it was
    assert os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1"


def test_what_was_loadable_before_stays_so() -> None:
    """As in a process that reads one checkpoint with this package, and goes on from another with fairseq."""
    before = set(torch.serialization.get_safe_globals())
    with loadable(Path):
        with loadable(Path, os.PathLike):
            assert {Path, os.PathLike} <= set(torch.serialization.get_safe_globals())
        assert set(torch.serialization.get_safe_globals()) == before | {Path}
    assert set(torch.serialization.get_safe_globals()) == before


def test_a_pickle_is_not_loaded_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("fairseq")
    from fairseq.checkpoint_utils import load_checkpoint_to_cpu

    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path = tmp_path / "checkpoint.pt"
    torch.save({"cfg": _Attack(str(tmp_path / "hacked"))}, path)
    with pytest.raises(Exception, match="Weights only load failed"), no_code():
        load_checkpoint_to_cpu(str(path))
    assert not (tmp_path / "hacked").exists()


class _Attack:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")

"""Exchanges against contexts written out by hand."""

from __future__ import annotations

import pytest

from eureka_nlg.dialogue.exchanges import ContextOptions, exchanges

DIALOGUE = {
    "persona": ["i run.", "i bake."],
    "partner_persona": ["i fly."],
    "turns": ["", "hello", "hi you", "so ?", "well", "bye"],
}


def pairs(options: ContextOptions, both_sides: bool = False, **changes: list[str]) -> list[tuple[str, str]]:
    found = exchanges({**DIALOGUE, **changes}, str.split, options, both_sides)
    return [(" ".join(exchange.context), " ".join(exchange.reply)) for exchange in found]


def test_whole_history_with_marks() -> None:
    me = "<persona> i run. <persona> i bake."
    assert pairs(ContextOptions()) == [
        (me, "hello"),
        (f"{me} <self> hello <partner> hi you", "so ?"),
        (f"{me} <self> hello <partner> hi you <self> so ? <partner> well", "bye"),
    ]


def test_first_speaker_replies_with_own_persona() -> None:
    found = pairs(ContextOptions(history_turns=1), both_sides=True)
    assert [reply for _, reply in found] == ["hello", "hi you", "so ?", "well", "bye"]
    assert found[1] == ("<persona> i fly. <partner> hello", "hi you")
    assert found[3][0] == "<persona> i fly. <partner> so ?"


def test_first_speaker_may_open() -> None:
    found = pairs(ContextOptions(), both_sides=True, turns=["hi", "yes"], partner_persona=[])
    assert found[0] == ("__silence__", "hi")


@pytest.mark.parametrize(
    ("turns", "last"),
    [(1, "well"), (2, "so ? well"), (3, "hi you so ? well"), (99, "hello hi you so ? well")],
)
def test_history_turns(turns: int, last: str) -> None:
    options = ContextOptions(history_turns=turns, persona=False, speaker_tokens=False)
    found = pairs(options)
    assert found[-1] == (last, "bye")
    assert found[0] == ("__silence__", "hello")


def test_context_is_cut_from_the_left() -> None:
    options = ContextOptions(max_context_tokens=3)
    assert [context for context, _ in pairs(options)] == [
        "<persona> i bake.",
        "<partner> hi you",
        "? <partner> well",
    ]

"""What models read as a conversation goes on, and what of their replies is marked."""

from __future__ import annotations

import pytest

from eureka_nlg.chat.layout import Style, columns, printable
from eureka_nlg.chat.models import ChatModel
from eureka_nlg.chat.session import Session
from eureka_nlg.errors import UserError
from eureka_nlg.runs.base import Reply


def say(session: Session, message: str) -> None:
    for _ in session.say(message):
        pass


def test_every_model_goes_on_with_its_own_replies(models: list[ChatModel]) -> None:
    session = Session(models, persona=["i row"])
    say(session, "hi")
    say(session, "why?")
    for model in models:
        first, second = model.talker.read
        assert (first.turns, first.persona) == (("hi",), ("i row",))
        assert second.turns == ("hi", f"{model.name}: 1 turns, a quokka ! <b>zebra</b> 0", "why?")
    session.keep("el")
    say(session, "and?")
    kept = "el: 3 turns, a Quokka! <b>zebra</b> 0"
    assert models[0].talker.read[-1].turns[-2] == kept  # read as text by the other
    assert models[1].talker.read[-1].turns[-2] == kept.replace("!", " !").lower()  # as it wrote it
    session.keep("ce")  # another choice, of the exchange after it: the first model's own words again
    session.keep("el")
    session.keep("ce")
    say(session, "so?")
    own = session.exchanges[-2].replies["ce"][0]
    assert [model.talker.read[-1].turns[-2] for model in models] == [own.raw, own.text]
    session.undo()
    assert session.undo() == "and?"
    assert len(session.exchanges) == 2
    with pytest.raises(UserError, match="no model 'xx'; expected one of ce, el"):
        session.keep("xx")


@pytest.mark.parametrize(("message", "error"), [("fail", UserError), ("crash", KeyboardInterrupt)])
def test_a_message_that_fails_is_taken_back(models, message: str, error: type[BaseException]) -> None:
    session = Session(models)
    say(session, "hi")
    with pytest.raises(error):
        say(session, message)
    assert [exchange.message for exchange in session.exchanges] == ["hi"]


def test_options_of_decoding(models: list[ChatModel]) -> None:
    session = Session(models)
    session.set("sampling", "on")
    session.set("temperature", "0.7")
    session.set("top_k", "5")
    assert (session.decoding.sampling, session.decoding.temperature, session.decoding.top_k) == (True, 0.7, 5)
    session.set("sampling", "off")
    assert (session.decoding.top_k, session.decoding.temperature) == (None, 1.0)
    for name, value, said in (
        ("temperatur", "1", "no option 'temperatur'; expected one of beam"),
        ("beam", "many", "beam 'many': expected a number"),
        ("sampling", "1", "expected on or off"),
        ("temperature", "0", "temperature 0.0: expected a number from 0.01"),
    ):
        with pytest.raises(UserError, match=said):
            session.set(name, value)


def test_rare_words_are_cut_out(models: list[ChatModel], make_models) -> None:
    model = models[0]
    reply = Reply("A Quokka's a quokka, zebra.", "a quokka 's a quokka , zebra .", None)
    # "'s" and "zebra" were never in training; a full stop is no word
    assert model.pieces(reply) == [
        *[("A ", None), ("Quokka", 2), ("'s", 0), (" a ", None), ("quokka", 2)],
        *[(", ", None), ("zebra", 0), (".", None)],
    ]
    (unknown,) = make_models(["x"], [])
    assert unknown.rare == "no training data"
    assert unknown.pieces(reply) == [(reply.text, None)]


def test_columns_fit_and_nothing_acts_on_the_terminal() -> None:
    texts = [[("one two three four five six seven eight nine ten", None)], [("a ", None), ("quokka", 2)]]
    lines = list(columns(["ce", "el"], texts, 62, Style(False)))
    assert lines[0].split() == ["ce", "│", "el"]
    assert all(len(line) <= 62 for line in lines)
    assert " ".join(line.partition("│")[0].strip() for line in lines[1:]) == texts[0][0][0]
    assert list(columns(["ce", "el"], texts, 40, Style(False)))[-1] == "el  a quokka"
    (line,) = columns(["el"], texts[1:], 40, Style(True))
    assert line.endswith("a \x1b[1;4mquokka\x1b[0m")
    assert printable("a\x1b]0;title\x07 b\r\nc\u202e") == "a ]0;title b c "
    assert all(len(line) <= 20 for line in columns(["el"], [[("x" * 99, None)]], 20, Style(False)))

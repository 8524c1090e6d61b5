"""Models that answer at once, and say what they have read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from eureka_nlg.chat.models import ChatModel
from eureka_nlg.dialogue.run_data import TrainingTargets
from eureka_nlg.errors import UserError
from eureka_nlg.runs.base import Conversation, Reply
from eureka_nlg.runs.decoding import Decoding

TRAINED_ON = ["a a a a a a a a a a a a a a a a a a a a quokka"] * 2


class FakeTalker:
    """Replies with the number of turns it has read, its name and a rare word."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.read: list[Conversation] = []
        self.asked: list[Decoding] = []

    def replies(
        self, conversations: Sequence[Conversation], decoding: Decoding, options: Sequence[str] = ()
    ) -> list[list[Reply]]:
        (conversation,) = conversations
        if conversation.turns[-1] == "fail":
            raise UserError("this cannot be said")
        if conversation.turns[-1] == "crash":
            raise KeyboardInterrupt
        self.read.append(conversation)
        self.asked.append(decoding)
        text = f"{self.name}: {len(conversation.turns)} turns, a Quokka! <b>zebra</b>"
        return [
            [
                Reply(f"{text} {place}", f"{text} {place}".replace("!", " !").lower(), -1.0)
                for place in range(decoding.nbest)
            ]
        ]

    def likelihoods(self, conversation: Conversation, reply: Reply) -> list[tuple[str, float]]:
        return [("quokka", math.log(0.05)), ("</s>", math.log(0.8))]

    def words(self, text: str) -> list[str]:
        return text.lower().replace("<b>", " ").replace("</b>", " ").replace(",", " , ").split()


def make_models(
    names: Sequence[str] = ("ce", "el"),
    trained_on: Sequence[str] = TRAINED_ON,
    logit_adjustment: float | None = None,
) -> list[ChatModel]:
    """Models of these names."""

    def targets() -> TrainingTargets:
        if not trained_on:
            raise UserError("no training data")
        return TrainingTargets([Path("train.txt")], iter(trained_on))

    run: Any = SimpleNamespace(
        kind="fairseq", weights=(Path("checkpoint_best.pt"),), training_targets=targets
    )
    return [ChatModel(name, run, FakeTalker(name), logit_adjustment) for name in names]


@pytest.fixture
def models() -> list[ChatModel]:
    return make_models()


@pytest.fixture(name="make_models")
def make_models_fixture() -> Callable[..., list[ChatModel]]:
    return make_models

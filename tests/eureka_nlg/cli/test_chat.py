"""`eureka chat`: the command that it names for the same on a page."""

from __future__ import annotations

import argparse

import pytest

from eureka_nlg.cli import chat, serve
from eureka_nlg.cli.decoding import decoding_of


@pytest.mark.parametrize(
    "words",
    [
        ["runs/ce", "runs/el"],
        [
            "runs/a b",
            "--cpu",
            "--names",
            "CE",
            "--data",
            "x",
            "--persona",
            "p.txt",
            "--logit-adjustment",
            "0.2",
        ],
        ["runs/el", "--sampling", "--sampling-topp", "0.9", "--seed", "3", "--no-repeat-ngram-size", "2"],
        ["runs/el", "--beam", "5", "--nbest", "2"],
    ],
)
def test_the_page_has_the_same_models_and_decoding(words: list[str]) -> None:
    parsers = argparse.ArgumentParser(), argparse.ArgumentParser()
    for command, parser in zip((chat, serve), parsers):
        command.add_arguments(parser)
    given = parsers[0].parse_args(words)
    served = parsers[1].parse_args(chat._given(given, decoding_of(given)))
    assert vars(served) == vars(given) | {"port": 8765}

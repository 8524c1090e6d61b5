"""No input of any kind ends a reader in anything but dialogues or one clear error."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eureka_nlg.dialogue.corpus import Dialogues
from eureka_nlg.dialogue.formats import FILE_FORMATS, PARALLEL, Findings, Source, detect_format
from eureka_nlg.dialogue.vectors import write_vectors
from eureka_nlg.errors import UserError

READ = [name for name in FILE_FORMATS if name != PARALLEL]
# What means something to one reader or another.
WORDS = (
    *"\t\n\r\0\"',;:|\\{}[]()1*. ",
    *(
        "\r\n",
        "\n\n",
        "1 ",
        "2 ",
        "\ufeff",
        "\u2028",
        "\ud800",
        "é",
        "中",
        "__eou__",
        "__eot__",
        "__SILENCE__",
    ),
    *("your persona: ", "text:", "labels:", "episode_done:True", "0.0 ", "1.0 ", " EOS ", "context", "reply"),
    *(
        "User 1: ",
        "conv_id",
        "utterance",
        "utterance_idx",
        '""',
        '",',
        "\\n",
        "\\ud800",
        "null",
        "true",
        "-1e999",
    ),
    *(
        '{"messages": [',
        '{"role": "user", "content": "hi"}',
        '{"train": [',
        '"prompt": ',
        '"a"',
        '{"dialog": [',
    ),
    *("a", "hello there", "7" * 30, "[" * 40, "Infinity", "\x85"),
)
SEEDS = (
    "1 your persona: x\n2 a\tb\n",
    "text:a\tlabels:b\tepisode_done:True\n",
    "a __eou__ b __eou__\n",
    "0.0 a EOS 1.0 b\t1.0 c\n",
    'context\treply\n"a ""b"""\tc\n',
    "conv_id,utterance_idx,speaker_idx,utterance\nx,1,1,a\nx,2,0,b\n",
    'user 1 personas,user 2 personas,Best Generated Conversation\nI,J,"User 1: a\nUser 2: b"\n',
    '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n',
    '[{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}]',
    '{"train": [{"personality": ["p"], "utterances": [{"history": ["a"], "candidates": ["b"]}]}]}',
    '[{"instruction": "a", "input": 3, "output": "b"}, {"prompt": "a", "completion": ["b"]}]',
)


def mutated(pick: random.Random) -> bytes:
    """A corpus with pieces put in, taken out, doubled and exchanged, or made of pieces altogether."""
    text = pick.choice(SEEDS) * pick.choice((1, 1, 1, 3)) if pick.random() < 0.8 else ""
    for _ in range(pick.randint(0, 4)):
        at, end = sorted(pick.randint(0, len(text)) for _ in range(2))
        text = pick.choice(
            (
                text[:at] + pick.choice(WORDS) + text[at:],
                text[:at] + text[end:],
                text[:end] + text[at:],
                text[:at] + pick.choice(WORDS) + text[end:],
            )
        )
    content = bytearray(text.encode("utf-8", "surrogatepass"))
    if content and pick.random() < 0.2:
        content[pick.randrange(len(content))] = pick.randrange(256)
    return bytes(content)


def read_every_way(path: Path, formats: list[str]) -> int:
    """Read a file as what it looks like and as other formats; return how many dialogues came out.

    Raises:
        AssertionError: a message of several lines, or a turn that is no text.
    """
    number = 0
    try:
        detected = [detect_format(path)]
    except UserError as error:
        check(error)
        detected = []
    for name in [*detected, *formats]:
        for skip_bad in (False, True):
            try:
                for dialogue in Dialogues([Source(str(path), name, "train")], Findings(skip_bad)):
                    number += 1
                    assert all(isinstance(turn, str) for turn in dialogue["turns"])
                    assert all(0 <= place < len(dialogue["turns"]) for place in dialogue.get("replies", []))
                    "".join([*dialogue["turns"], *dialogue["persona"]]).encode()
            except UserError as error:
                check(error)
    return number


def check(error: UserError) -> None:
    assert len(str(error)) < 2000
    assert str(error)


@pytest.mark.parametrize("seed", range(6))
def test_mutated_corpora(tmp_path: Path, seed: int) -> None:
    pick = random.Random(seed)
    path = tmp_path / "x"
    number = 0
    for _ in range(60):
        path = tmp_path / pick.choice(("x", "x.json", "x.csv", "x.tsv", "x.jsonl", "x.parquet"))
        path.write_bytes(mutated(pick))
        number += read_every_way(path, [pick.choice(READ)])
    assert number > 5  # some are still corpora


@settings(max_examples=40)
@given(st.lists(st.sampled_from(WORDS), max_size=30))
def test_pieces(tmp_path_factory: pytest.TempPathFactory, pieces: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "pieces"
    path.write_bytes("".join(pieces).encode("utf-8", "surrogatepass"))
    read_every_way(path, READ)


@given(st.lists(st.sampled_from([*WORDS, "the", " 1 2", "\n", " 0.5"]), max_size=30))
def test_vectors_of_any_kind(tmp_path_factory: pytest.TempPathFactory, pieces: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "vectors"
    path.write_bytes("".join(pieces).encode("utf-8", "surrogatepass"))
    try:
        write_vectors(str(path), {"the": 2, "a": 1}, path.with_name("vectors.out"))
    except UserError as error:
        check(error)

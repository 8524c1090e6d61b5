"""The prepared folder, against fairseq-preprocess on the same text and against counts by hand."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from eureka_nlg.dialogue import binarize as binarize_module
from eureka_nlg.dialogue.binarize import binarize, build_dictionary
from eureka_nlg.dialogue.exchanges import RESERVED
from eureka_nlg.dialogue.options import PrepareOptions
from eureka_nlg.dialogue.prepare import prepare
from eureka_nlg.dialogue.sources import find_sources
from eureka_nlg.dialogue.tokenizers import SentencePieceTokenizer
from eureka_nlg.errors import UserError
from eureka_nlg.files import new_folder

pytest.importorskip("fairseq")
pytest.importorskip("datasets")


def write_corpus(folder: Path) -> Path:
    """Three ParlAI files of random words, many of them with letters of two to four bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    pick = random.Random(3)
    words = ["".join(pick.choices("abcABC\u00e9\u20ac\U0001f600", k=pick.randint(1, 4))) for _ in range(300)]

    def sentence() -> str:
        return " ".join(
            pick.choices(words, weights=[1 / (rank + 1) for rank in range(300)], k=pick.randint(1, 9))
        )

    for split, dialogues in (("train", 40), ("valid", 9), ("test", 7)):
        with open(folder / f"{split}.txt", "w", encoding="utf-8") as file:
            for _ in range(dialogues):
                lines = [f"your persona: {sentence()}" for _ in range(pick.randint(0, 3))]
                lines += [f"{sentence()}\t{sentence()}" for _ in range(pick.randint(1, 5))]
                file.writelines(f"{number} {line}\n" for number, line in enumerate(lines, start=1))
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def run(corpus: Path, out: Path, workers: int = 1, **options: object) -> dict:
    with new_folder(out) as folder:
        return prepare(find_sources([corpus]), folder, PrepareOptions(**options), workers=workers)


def bytes_of(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_as_fairseq_preprocess(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "out", min_count=2)
    for split in ("train", "valid", "test"):
        for side, name in (("context", "contexts"), ("reply", "references")):
            (tmp_path / f"{split}.{side}").write_bytes(
                (tmp_path / "out" / name / f"{split}.txt").read_bytes()
            )
    from fairseq import options
    from fairseq_cli import preprocess

    arguments = ["--source-lang", "context", "--target-lang", "reply", "--joined-dictionary"]
    arguments += [f"--{split}pref={tmp_path / split}" for split in ("train", "valid", "test")]
    arguments += ["--thresholdsrc", "2", "--thresholdtgt", "2", "--destdir", str(tmp_path / "fairseq")]
    preprocess.main(options.get_preprocessing_parser().parse_args(arguments))
    for handler in list(logging.getLogger("fairseq_cli.preprocess").handlers):
        logging.getLogger("fairseq_cli.preprocess").removeHandler(handler)
        handler.close()

    expected = bytes_of(tmp_path / "fairseq")
    del expected["preprocess.log"]
    found = bytes_of(tmp_path / "out")
    assert len(expected) == 2 + 3 * 2 * 2
    assert {name: found[name] for name in expected} == expected
    others = {"manifest.json"} | {
        f"{n}/{s}.txt" for n in ("contexts", "references") for s in ("train", "valid", "test")
    }
    assert set(found) - set(expected) == others


@pytest.mark.parametrize(("block", "workers"), [(None, 2), (1, 1), (37, 1), (256, 3)])
def test_lines_as_fairseq_binarises_them(
    block: int | None, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if block is not None:
        monkeypatch.setattr(binarize_module, "_BLOCK", block)
    from fairseq.binarizer import FileBinarizer, VocabularyDatasetBinarizer

    words = ["one", "two", "\u00e9", "<unk>", "</s>", "<pad>", "never-seen", "nor this"]
    separators = [" ", "  ", "\t", "\u00a0", "\x1c"]
    pick = random.Random(5)
    lines = [
        "".join(word + pick.choice(separators) for word in pick.choices(words, k=pick.randint(0, 9)))
        for _ in range(200)
    ]
    text = tmp_path / "text"
    text.write_bytes("".join(line + "\n" for line in lines).encode())
    dictionary = build_dictionary({"one": 3, "two": 2, "\u00e9": 1}, tmp_path)
    counts = binarize(text, dictionary, tmp_path / "ours", workers)
    expected = FileBinarizer.multiprocess_dataset(
        str(text), "mmap", VocabularyDatasetBinarizer(dictionary), str(tmp_path / "theirs"), len(dictionary)
    )
    for suffix in ("bin", "idx"):
        assert (tmp_path / f"ours.{suffix}").read_bytes() == (tmp_path / f"theirs.{suffix}").read_bytes()
    assert counts.sentences == expected.num_seq == 200
    assert counts.tokens == expected.num_tok - expected.num_seq
    assert counts.unknown == expected.num_replaced > 0


def test_a_worker_that_is_killed_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binarize_module, "_BLOCK", 10)
    monkeypatch.setattr(binarize_module._Encoder, "__call__", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    (tmp_path / "text").write_text("a b\n" * 10)
    dictionary = build_dictionary({"a": 1}, tmp_path)
    with pytest.raises(UserError, match="--workers 2: a process ended before its work was done"):
        binarize(tmp_path / "text", dictionary, tmp_path / "out", workers=2)


@pytest.mark.parametrize("tokenizer", ["whitespace", "nltk", "sentencepiece"])
def test_same_bytes_whatever_the_place_and_the_workers(corpus: Path, tmp_path: Path, tokenizer: str) -> None:
    options = {"tokenizer": tokenizer, "vocab_size": 40 if tokenizer == "sentencepiece" else None}
    run(corpus, tmp_path / "one", **options)
    moved = write_corpus(tmp_path / "another folder" / "corpus")
    run(moved, tmp_path / "deep" / "two", workers=3, **options)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "deep" / "two")
    for path in (tmp_path / "one").rglob("*"):
        assert path.is_dir() or str(tmp_path).encode() not in path.read_bytes()


def test_manifest_counts(corpus: Path, tmp_path: Path) -> None:
    manifest = run(corpus, tmp_path / "out", min_count=3, history_turns=2)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8")) == manifest
    lines = {
        (split, side): (tmp_path / "out" / name / f"{split}.txt").read_text(encoding="utf-8").splitlines()
        for split in manifest["splits"]
        for side, name in (("context", "contexts"), ("reply", "references"))
    }
    train = Counter(
        token for side in ("context", "reply") for line in lines["train", side] for token in line.split()
    )
    kept = {token for token, count in train.items() if count >= 3}
    size = 4 + len(kept - RESERVED | (kept & {"<persona>", "<partner>", "<self>", "__silence__"}))
    assert manifest["vocabulary"] == {"size": -(-size // 8) * 8, "types_in_training": len(train)}
    for (split, side), text in lines.items():
        counts = manifest["splits"][split]
        tokens = [token for line in text for token in line.split()]
        assert counts["exchanges"] == len(text)
        assert counts[side]["tokens"] == len(tokens)
        assert counts[side]["mean_length"] == round(len(tokens) / len(text), 4)
        assert counts[side]["longest"] == max(len(line.split()) for line in text)
        assert counts[side]["unknown_share"] == round(sum(t not in kept for t in tokens) / len(tokens), 6)
    raw = (corpus / "train.txt").read_bytes()
    assert manifest["splits"]["train"]["dialogues"] == raw.count(b"\n1 ") + 1
    assert manifest["splits"]["train"]["exchanges"] == raw.count(b"\t")
    assert manifest["inputs"]["train"] == [
        {
            "name": "train.txt",
            "format": "parlai",
            "sha256": hashlib.sha256(raw).hexdigest(),
            "bytes": len(raw),
        }
    ]
    assert set(manifest["versions"]) == {"eureka_nlg", "fairseq"}
    assert manifest["options"]["history_turns"] == 2
    assert manifest["unit"] == "word"


def test_both_sides_are_for_training_only(corpus: Path, tmp_path: Path) -> None:
    one = run(corpus, tmp_path / "one")["splits"]
    both = run(corpus, tmp_path / "both", both_sides=True)["splits"]
    assert both["train"]["exchanges"] == 2 * one["train"]["exchanges"]
    assert both["valid"]["exchanges"] == one["valid"]["exchanges"]


def test_sentencepiece_references_are_the_words(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "words")
    run(corpus, tmp_path / "pieces", tokenizer="sentencepiece", vocab_size=40)
    for name in ("contexts/valid.txt", "references/valid.txt"):
        assert (tmp_path / "pieces" / name).read_bytes() == (tmp_path / "words" / name).read_bytes()
    tokenizer = SentencePieceTokenizer(tmp_path / "pieces" / "sentencepiece.model")
    from fairseq.data import Dictionary

    dictionary = Dictionary.load(str(tmp_path / "pieces" / "dict.reply.txt"))
    assert all(token in dictionary for token in tokenizer.tokenize("abc a b"))


@pytest.mark.parametrize(
    ("tokenizer", "unit", "reply"),
    [
        ("whitespace", "character", "\u6628\u5929\u4f60\u4e70\u4e86\u98ce\u7b5d\u3002"),
        ("char", "character", "\u6628 \u5929 \u4f60 \u4e70 \u4e86 \u98ce \u7b5d \u3002"),
        ("sentencepiece", "character", "\u6628\u5929\u4f60\u4e70\u4e86\u98ce\u7b5d\u3002"),
    ],
)
def test_text_without_blanks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: str, unit: str, reply: str
) -> None:
    (tmp_path / "corpus").mkdir()
    for split in ("train", "valid"):
        line = "\u4f60\u4e70\u4e86\u4ec0\u4e48\u4e1c\u897f\u554a\t\u6628\u5929\u4f60\u4e70\u4e86"
        line += "\u98ce\u7b5d\u3002\n"
        (tmp_path / "corpus" / f"{split}.tsv").write_text(line * 9, encoding="utf-8")
    lines: list[str] = []
    with new_folder(tmp_path / "out") as folder:
        options = PrepareOptions(tokenizer=tokenizer, vocab_size=22 if tokenizer == "sentencepiece" else None)
        manifest = prepare(find_sources([tmp_path / "corpus"]), folder, options, tell=lines.append)
    assert manifest["unit"] == unit
    assert (tmp_path / "out/references/valid.txt").read_text(encoding="utf-8") == f"{reply}\n" * 9
    warned = [
        line for line in lines if line.startswith("warning: the text has 8 characters between two spaces")
    ]
    assert len(warned) == (tokenizer == "whitespace")


def test_fairseq_reads_the_folder(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "out", max_context_tokens=7)
    from fairseq.data import Dictionary, data_utils

    dictionary = Dictionary.load(str(tmp_path / "out" / "dict.context.txt"))
    for side, name in (("context", "contexts"), ("reply", "references")):
        data = data_utils.load_indexed_dataset(
            str(tmp_path / "out" / f"train.context-reply.{side}"), dictionary
        )
        lines = (tmp_path / "out" / name / "train.txt").read_text(encoding="utf-8").splitlines()
        assert [dictionary.string(row) for row in data] == lines
    assert (
        max(len(line.split()) for line in (tmp_path / "out/contexts/train.txt").read_text().splitlines()) == 7
    )


def test_vectors_cover_words_not_marks(corpus: Path, tmp_path: Path) -> None:
    pieces = {"a": "1 2", "b": "3 4", "c": "0 1", "<persona>": "7 7", "madeupword0000": "8 8"}
    (tmp_path / "v.txt").write_text("".join(f"{word} {numbers}\n" for word, numbers in pieces.items()))
    with new_folder(tmp_path / "out") as folder:
        sources = find_sources([corpus])
        manifest = prepare(sources, folder, PrepareOptions(min_count=5), vectors=str(tmp_path / "v.txt"))
    tokens = Counter(
        token
        for name in ("contexts", "references")
        for token in (tmp_path / "out" / name / "train.txt").read_text(encoding="utf-8").split()
        if token not in RESERVED
    )
    covered = {word for word in ("a", "b", "c") if tokens[word] >= 5}
    assert covered
    assert manifest["vectors"] == {
        "source": "v.txt",
        "source_width": 2,
        "width": 2,
        "types": len(covered),
        "types_share": len(covered) / sum(count >= 5 for count in tokens.values()),
        "tokens_share": sum(tokens[word] for word in covered) / sum(tokens.values()),
        "explained_variance": 1.0,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_count": 0}, "--min-count 0"),
        ({"history_turns": 0}, "--history-turns 0"),
        ({"max_context_tokens": -1}, "--max-context-tokens -1"),
        ({"tokenizer": "bytes"}, "--tokenizer bytes: expected one of whitespace, nltk, char, sentencepiece"),
        ({"vocab_size": 100}, "--vocab-size 100: is for --tokenizer sentencepiece"),
        # SentencePiece would never end
        (
            {"tokenizer": "sentencepiece", "vocab_size": 2**31 - 1},
            "--vocab-size 2147483647: expected a number from 1 to 1,000,000",
        ),
    ],
)
def test_impossible_options(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        PrepareOptions(**options)

"""Word vectors against numpy's own decompositions, and as fairseq reads them."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eureka_nlg.dialogue.vectors import check_vectors, reduce_width, write_vectors
from eureka_nlg.errors import UserError

COUNTS = {"the": 5, "caf\u00e9": 3, "rare": 1, ".": 1}
GLOVE = "the 1 2 3\nnowhere 9 9 9\n. . . 7 7 7\ncaf\u00e9 4 5 6.5\nthe 0 0 0\n. -1 0.25 1e-3\n"


@pytest.mark.parametrize("header", ["", "6 3\n"])
def test_only_words_of_the_dictionary_in_its_order(tmp_path: Path, header: str) -> None:
    (tmp_path / "v.txt").write_text(header + GLOVE, encoding="utf-8")
    coverage = write_vectors(str(tmp_path / "v.txt"), COUNTS, tmp_path / "out")
    assert (tmp_path / "out").read_text(encoding="utf-8") == (
        "3 3\nthe 1 2 3\ncaf\u00e9 4 5 6.5\n. -1 0.25 0.001\n"
    )
    assert (coverage.source, coverage.source_width, coverage.width) == ("v.txt", 3, 3)
    assert coverage.types == 3
    assert coverage.types_share == 3 / 4
    assert coverage.tokens_share == 9 / 10
    assert coverage.explained_variance == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda text: ". . . 7 7 7\n" + text,  # a word with blanks first
        lambda text: text.replace(" ", "\t"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "6\t3\n" + text,
        lambda text: " 5 5 5\n" + text,  # the word is a blank
        lambda text: "a\u00a0b 5 5 5\n" + text,
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_layouts(tmp_path: Path, change: Callable[[str], str], packed: bool) -> None:
    content = change(GLOVE).encode()
    (tmp_path / "v.txt").write_bytes(gzip.compress(content) if packed else content)
    write_vectors(str(tmp_path / "v.txt"), COUNTS, tmp_path / "out")
    assert (tmp_path / "out").read_text(encoding="utf-8") == (
        "3 3\nthe 1 2 3\ncaf\u00e9 4 5 6.5\n. -1 0.25 0.001\n"
    )


def test_fairseq_loads_them(tmp_path: Path) -> None:
    pytest.importorskip("fairseq")
    import torch
    from fairseq import utils
    from fairseq.data import Dictionary

    (tmp_path / "v.txt").write_text(GLOVE, encoding="utf-8")
    write_vectors(str(tmp_path / "v.txt"), COUNTS, tmp_path / "out")
    dictionary = Dictionary()
    for word in COUNTS:
        dictionary.add_symbol(word)
    embedding = torch.nn.Embedding(len(dictionary), 3)
    before = embedding.weight.detach().clone()
    utils.load_embedding(utils.parse_embedding(str(tmp_path / "out")), dictionary, embedding)
    assert embedding.weight[dictionary.index("caf\u00e9")].tolist() == [4, 5, 6.5]
    assert torch.equal(embedding.weight[dictionary.index("rare")], before[dictionary.index("rare")])


def test_reduction_is_the_projection_onto_the_first_singular_vectors() -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(200, 12)) * np.linspace(3, 0.1, 12) + 5).astype(np.float32)
    reduced, explained = reduce_width(vectors, 4)
    centred = vectors.astype(np.float64) - vectors.astype(np.float64).mean(axis=0)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(reduced), np.abs(centred @ axes[:4].T), atol=1e-9)
    np.testing.assert_allclose(explained, (singular[:4] ** 2).sum() / (singular**2).sum(), rtol=1e-12)
    # the scale stays: what is lost of the squared lengths is the variance that is lost
    np.testing.assert_allclose((reduced**2).sum() / (centred**2).sum(), explained, rtol=1e-12)


def test_signs_do_not_depend_on_the_order_of_words() -> None:
    vectors = np.random.default_rng(1).normal(size=(50, 6)).astype(np.float32)
    np.testing.assert_allclose(
        reduce_width(vectors, 3)[0][::-1], reduce_width(vectors[::-1], 3)[0], atol=1e-9
    )


def test_reduced_file_says_its_width(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text(GLOVE, encoding="utf-8")
    coverage = write_vectors(str(tmp_path / "v.txt"), COUNTS, tmp_path / "out", 2)
    lines = (tmp_path / "out").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "3 2"
    assert {len(line.split(" ")) for line in lines[1:]} == {3}
    assert coverage.explained_variance == pytest.approx(1)  # three points lie in a plane


@pytest.mark.parametrize(
    ("text", "width", "message"),
    [
        ("the 1 2\n", 3, r"v\.txt: the vectors have 2 dimensions; expected at least --vector-dim 3"),
        ("the 1 2\ncaf\u00e9 1\n", None, r"v\.txt:2: expected a word and 2 finite numbers"),
        ("x 1 2\nthe 1 nan\n", None, r"v\.txt:2: expected a word and 2 finite numbers"),
        ("1 2\nthe 1 b\n", None, r"v\.txt:2: expected a word and 2 finite numbers"),
        ("x 1 2\n", None, "none of the 4 words"),
        ("", None, r"v\.txt:1: the line is empty"),
        ("the\n", None, r"v\.txt:1: no numbers"),
        ("5 1000000000\nthe 1 2\n", None, "the first line says 1,000,000,000 numbers per word, .* have 2"),
        ("5 1000000000\n", None, "1,000,000,000 numbers per word; expected at most 10,000"),
        ("the" + " 1" * 10_001, None, "10,001 numbers per word; expected at most 10,000"),
        ("1 2\nthe \0\1\2 3", None, "is not a text file, perhaps word2vec's binary format"),
        ("the 1 2\n" + "x" * (1 << 24) + "yz", None, r"v\.txt:2: the line is longer than 16,777,216 bytes"),
        ("the 1 2\n", 0, "--vector-dim 0: expected a number from 1 on"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_files(tmp_path: Path, text: str, width: int | None, message: str) -> None:
    (tmp_path / "v.txt").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        write_vectors(str(tmp_path / "v.txt"), COUNTS, tmp_path / "out", width)
    assert not (tmp_path / "out").exists()


def test_torchtext_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vocab = pytest.importorskip("torchtext.vocab")
    (tmp_path / "v.txt").write_text(GLOVE.replace(". . . 7 7 7\n", ""), encoding="utf-8")

    def load(cache: str) -> object:
        return vocab.Vectors(str(tmp_path / "v.txt"), cache=cache)

    monkeypatch.setitem(vocab.pretrained_aliases, "tiny.3d", load)
    for _ in range(2):  # the second time from torchtext's cache
        coverage = write_vectors("tiny.3d", COUNTS, tmp_path / "out", cache_dir=tmp_path / "cache")
    assert "caf\u00e9 4 5 6.5\n" in (tmp_path / "out").read_text(encoding="utf-8")
    assert (coverage.source, coverage.types) == ("tiny.3d", 3)


def test_torchtext_offline_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vocab = pytest.importorskip("torchtext.vocab")

    def load(cache: str) -> object:
        raise OSError("no network")

    monkeypatch.setitem(vocab.pretrained_aliases, "tiny.3d", load)
    with pytest.raises(UserError, match=r"tiny\.3d: torchtext cannot download .*no network"):
        write_vectors("tiny.3d", COUNTS, tmp_path / "out", cache_dir=tmp_path)


def test_unknown_name() -> None:
    pytest.importorskip("torchtext.vocab")
    with pytest.raises(UserError, match=r"glove\.txt: neither a file .*glove\.6B\.300d"):
        check_vectors("glove.txt")

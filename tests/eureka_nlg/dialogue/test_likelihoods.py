"""Likelihoods of the references against fairseq's own scoring, and the analysis made of them."""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from eureka_nlg.analysis import read_analysis
from eureka_nlg.cli import analyse
from eureka_nlg.cli.main import main
from eureka_nlg.dialogue.analysis import DialogueAnalysis
from eureka_nlg.dialogue.generation import Run, generate
from eureka_nlg.dialogue.likelihoods import ReferenceModel, TokenLikelihoods, reference_perplexity
from eureka_nlg.dialogue.own_text import Preparation
from eureka_nlg.errors import UserError
from eureka_nlg.metrics.classes.bands import FrequencyBands

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, python: Any) -> tuple[Path, dict[str, Any]]:
    """A run of two small epochs on a piece of the bundled corpus, and what fairseq logged of the last one."""
    pytest.importorskip("fairseq")
    corpus, out = tmp_path_factory.mktemp("corpus"), tmp_path_factory.mktemp("out")
    for split, num_lines in (("train", 500), ("valid", 90)):
        with open(ROOT / f"data/sample/{split}.txt", encoding="utf-8") as lines:
            (corpus / f"{split}.txt").write_text("".join(itertools.islice(lines, num_lines)))
    data = out / "data"
    eureka = ("-m", "eureka_nlg.cli.main")
    done = python(*eureka, "prepare", corpus, "--out", data, "--history-turns", 1, "--min-count", 2)
    assert done.returncode == 0, done.stderr
    done = python(
        *(
            *eureka,
            "train",
            "--verbose",
            "configs/dialogue/sample/el.yaml",
            f"data={data}",
            f"save_dir={out / 'run'}",
        ),
        *("encoder_embed_dim=16", "encoder_hidden_size=16", "max_epoch=2", "encouragement_start_epoch=2"),
        *("no_epoch_checkpoints=", "report_accuracy=true", "log_format=json"),
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    logged = re.findall(r"\| valid \| (\{.*\})$", done.stdout, re.MULTILINE)
    return out / "run", json.loads(logged[-1])


@pytest.fixture(scope="module")
def model(trained: tuple[Path, dict[str, Any]]) -> ReferenceModel:
    return ReferenceModel(Run.load(trained[0] / "checkpoint_last.pt"), cpu=True)


def joined(batches: Iterator[TokenLikelihoods]) -> TokenLikelihoods:
    return TokenLikelihoods(*map(np.concatenate, zip(*batches)))


def words_of(model: ReferenceModel, split: str) -> Counter[str]:
    """What the targets of a split must be, from its text."""
    lines = (Path(model.run.data) / "references" / f"{split}.txt").read_text(encoding="utf-8").splitlines()
    words = Counter(word if word in model.symbols else "<unk>" for line in lines for word in line.split(" "))
    words["</s>"] = len(lines)
    return words


@pytest.mark.slow
def test_fairseq_generate_finds_the_same_likelihoods(model: ReferenceModel, python: Any) -> None:
    found = joined(model.likelihoods("valid"))
    assert found.targets.dtype == np.int64
    assert found.log_likelihoods.dtype == np.float32
    done = python(
        *("-m", "fairseq_cli.generate", model.run.data, "--user-dir", "fairseq_plugins", *model.run.task),
        *("--path", model.run.checkpoint, "--gen-subset", "valid", "--score-reference", "--cpu"),
        *("--required-batch-size-multiple", 1),
    )
    assert done.returncode == 0, done.stderr
    # one T- and one P- line for each reference; scores are in base 2, with four decimals
    targets = dict(re.findall(r"^T-(\d+)\t(.*)$", done.stdout, re.MULTILINE))
    scores = dict(re.findall(r"^P-(\d+)\t(.*)$", done.stdout, re.MULTILINE))
    sums: Counter[str] = Counter()
    for number, line in targets.items():
        words = [*line.replace("<<unk>>", "<unk>").split(), "</s>"]
        for word, score in zip(words, scores[number].split(), strict=True):
            sums[word] += float(score) * math.log(2)
    numbers = Counter(model.symbols[target] for target in found.targets)
    assert numbers == words_of(model, "valid")
    assert numbers["<unk>"] > 0
    totals = np.zeros(len(model.symbols))
    np.add.at(totals, found.targets, found.log_likelihoods)
    for word, total in sums.items():
        assert totals[model.symbols.index(word)] == pytest.approx(total, abs=1e-4 * numbers[word])


@pytest.mark.slow
def test_perplexity_and_accuracy_are_those_of_fairseqs_validation(
    model: ReferenceModel, trained: tuple[Path, dict[str, Any]]
) -> None:
    found = joined(model.likelihoods("valid"))
    assert 100 * found.correct.mean() == pytest.approx(float(trained[1]["valid_accuracy"]), abs=2e-3)
    perplexity = reference_perplexity(model.run, "valid")
    assert perplexity == pytest.approx(float(trained[1]["valid_ppl"]), abs=6e-3)
    assert perplexity == pytest.approx(math.exp(-found.log_likelihoods.mean(dtype=np.float64)), rel=1e-12)


@pytest.mark.slow
def test_counts_of_the_training_targets(model: ReferenceModel) -> None:
    counts = dict(zip(model.symbols, model.class_counts))
    assert {word: count for word, count in counts.items() if count} == words_of(model, "train")


@pytest.mark.slow
def test_a_sample_follows_its_seed(model: ReferenceModel) -> None:
    end = model.symbols.index("</s>")
    samples = [joined(model.likelihoods("train", 20, seed)) for seed in (1, 1, 2)]
    assert [(sample.targets == end).sum() for sample in samples] == [20, 20, 20]
    assert np.array_equal(samples[0].targets, samples[1].targets)
    assert np.array_equal(samples[0].log_likelihoods, samples[1].log_likelihoods)
    assert not np.array_equal(np.sort(samples[0].targets), np.sort(samples[2].targets))
    assert (joined(model.likelihoods("train", 10**6)).targets == end).sum() == model.class_counts[end]


@pytest.mark.slow
def test_dictionaries_of_other_data_are_refused(model: ReferenceModel, tmp_path: Path, python: Any) -> None:
    with pytest.raises(UserError, match="split tset: not in the data folder"):
        next(model.likelihoods("tset"))
    (tmp_path / "pairs.tsv").write_text("hello\thi there\n")
    pairs, other = tmp_path / "pairs.tsv", tmp_path / "other"
    done = python(
        *("-m", "eureka_nlg.cli.main", "prepare", "--train", pairs, "--valid", pairs, "--out", other)
    )
    assert done.returncode == 0, done.stderr
    with pytest.raises(UserError, match="its dictionaries are not those of the data folder"):
        ReferenceModel(Run.load(model.run.checkpoint, str(other)), cpu=True)


def command(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    analyse.add_arguments(parser)
    return analyse.run(parser.parse_args([str(argument) for argument in arguments]))


@pytest.mark.slow
def test_command(
    model: ReferenceModel,
    trained: tuple[Path, dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, last = trained[0] / "checkpoint1.pt", trained[0] / "checkpoint_last.pt"
    out = tmp_path / "analysis.json"
    options = ("--splits", "valid", "train", "--train-sample", 50, "--cpu", "--out", out)
    assert command(first, last, "--names", "early", "late", *options) == 0
    document = read_analysis(out)
    assert list(document["systems"]) == ["early", "late"]
    late = document["systems"]["late"]
    assert late["checkpoint"] == str(last)
    assert len(late["sha256"]) == 64
    valid = late["splits"]["valid"]
    assert list(valid) == ["head", "body", "tail", "unseen", "all"]
    assert valid["all"]["count"] == sum(words_of(model, "valid").values())
    assert valid["all"]["perplexity"] == pytest.approx(float(trained[1]["valid_ppl"]), abs=6e-3)
    assert valid["head"]["perplexity"] < valid["body"]["perplexity"] < valid["tail"]["perplexity"]
    assert late["splits"]["train"]["all"]["count"] < model.class_counts.sum() / 2
    early = document["systems"]["early"]["splits"]["valid"]
    assert early["all"]["perplexity"] > valid["all"]["perplexity"]
    words = words_of(model, "train")
    assert document["corpus"]["num_tokens"] == sum(words.values())
    assert document["corpus"]["counts"][0] == max(words.values())
    # the setting of the run, from its checkpoint
    assert list(document["encouragement"]) == ["beta 0.999, mean_weight"]

    printed = capsys.readouterr().out
    row = next(line.split() for line in printed.splitlines() if line.startswith("perplexity  tail"))
    assert row[-2:] == [f"{numbers['perplexity']:,.2f}" for numbers in (early["tail"], valid["tail"])]
    gap = next(line.split() for line in printed.splitlines() if line.startswith("accuracy, points  tail"))
    assert float(gap[-1]) == pytest.approx(
        late["splits"]["train"]["tail"]["accuracy"] - valid["tail"]["accuracy"], abs=0.0051
    )


class FakeModel:
    """Knows two words."""

    criterion: ClassVar[dict[str, Any]] = {}

    def __init__(self, data: str) -> None:
        self.symbols = ["</s>", "tea"] if data != "other words" else ["</s>", "milk"]
        self.class_counts = np.array([9, 1])
        self.size = 3 if data == "other references" else 2

    def likelihoods(self, split: str, sample: int | None, seed: int) -> Iterator[TokenLikelihoods]:
        for target in (0, 1):
            yield TokenLikelihoods(
                np.full(self.size, target), np.full(self.size, -1.0, np.float32), np.ones(self.size, bool)
            )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("other words", r"b and a have different target dictionaries \(2 and 2 entries\)"),
        ("other references", r"split test: b and a have different references \(6 and 4 tokens\)"),
    ],
)
def test_what_cannot_be_compared(data: str, message: str, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    checkpoint.touch()
    found = DialogueAnalysis(FrequencyBands.by_token_mass, ["test"])
    found.add("a", FakeModel("data"), [checkpoint])
    assert found.groups["a"]["test"]["all"].count == 4
    # no model with an encouragement: the paper's is shown
    assert list(found.document()["encouragement"]) == ["beta 0.999, mean_measure"]
    with pytest.raises(UserError, match=message):
        found.add("b", FakeModel(data), [checkpoint])


def save_checkpoint(path: Path, data: Path) -> None:
    task = {"_name": "translation", "data": str(data), "source_lang": "context", "target_lang": "reply"}
    torch.save({"cfg": {"task": task}}, path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: does not exist"),
        (["{run}"], "split test: not in the data folder"),
        (["{run}", "{run}"], "expected one for each run, all different: give --names"),
        (["{run}", "--names", "a", "b"], "names are a, b: expected one for each run"),
        (["{run}", "--train-sample", "-1"], "--train-sample -1: expected a number"),
        (["{run}", "--seed", "-1"], "--seed: -1, expected 0 to 4,294,967,295"),
        (["{run}", "--out", "{run}"], "--out .*is a folder, expected a file name"),
        (["{run}", "--bands", "by-count"], "bands 'by-count': expected mass:"),
    ],
)
def test_bad_input_is_told_before_the_work(arguments: list[str], message: str, tmp_path: Path) -> None:
    run, data = tmp_path / "run", tmp_path / "data"
    run.mkdir()
    data.mkdir()
    save_checkpoint(run / "checkpoint_best.pt", data)
    with pytest.raises(UserError, match=message):
        command(*(argument.format(run=run) for argument in arguments))


@pytest.mark.slow
def test_all_data_folders_of_a_run(model: ReferenceModel, tmp_path: Path) -> None:
    """The training data of two folders are those of both, the validation data those of the first."""
    second = shutil.copytree(model.run.data, tmp_path / "second")
    run = Run.load(model.run.checkpoint, f"{model.run.data}{os.pathsep}{second}")
    both = ReferenceModel(run, cpu=True)
    assert np.array_equal(both.class_counts, 2 * model.class_counts)
    one, two = joined(model.likelihoods("train")), joined(both.likelihoods("train"))
    assert len(two.targets) == 2 * len(one.targets)
    assert math.isclose(two.log_likelihoods.sum(), 2 * one.log_likelihoods.sum(), rel_tol=1e-4)
    num_examples = int(model.class_counts[model.symbols.index("</s>")])
    drawn = joined(both.likelihoods("train", sample=num_examples))
    assert (drawn.targets == model.symbols.index("</s>")).sum() == num_examples
    assert len(joined(both.likelihoods("valid")).targets) == len(joined(model.likelihoods("valid")).targets)
    once = generate(model.run, "valid", ["--beam", "1", "--max-len-b", "3"])
    assert generate(run, "valid", ["--beam", "1", "--max-len-b", "3"]) == once
    for side in ("context", "reply"):
        for ending in ("idx", "bin"):
            name = f"context-reply.{side}.{ending}"
            for folder in (tmp_path / "small", tmp_path / "other"):
                folder.mkdir(exist_ok=True)
                shutil.copy(second / f"valid.{name}", folder / f"train.{name}")
                shutil.copy(second / f"dict.{side}.txt", folder)
    small = Run.load(model.run.checkpoint, f"{tmp_path / 'small'}{os.pathsep}{tmp_path / 'other'}")
    twice = generate(small, "train", ["--beam", "1", "--max-len-b", "3"])
    assert twice.hypotheses == 2 * once.hypotheses
    assert twice.ids == list(range(2 * len(once.ids)))


@pytest.mark.slow
def test_replies_to_own_text(
    model: ReferenceModel, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The contexts of the validation data, typed by hand, get the replies of the validation data."""
    generated = generate(model.run, "valid", ["--beam", "1", "--max-len-b", "5"])
    contexts = [line.rpartition("<partner> ")[2] for line in generated.sources or []]
    messages = tmp_path / "messages.txt"
    messages.write_text("".join(f"Earlier!\t{context.upper()}\n" for context in contexts), encoding="utf-8")
    checkpoint = str(model.run.checkpoint)
    options = ["--input", str(messages), "--beam", "1", "--max-len-b", "5"]
    assert main(["generate", checkpoint, "--data", model.run.data, *options]) == 0
    preparation = Preparation.of(model.run.folders)
    assert preparation.context(["hi"], ["I row."]) == ["<persona>", "i", "row.", "<partner>", "hi"]
    printed = capfd.readouterr().out.splitlines()  # the file descriptor: /dev/stdout is opened
    assert len(printed) == len(generated.hypotheses)
    assert preparation.context(["Earlier!", "HI  there"]) == ["<partner>", "hi", "there"]  # one turn is read
    typed = preparation.tokenize_typed("Hi, there.", ["hi", "there", ",", "."].__contains__)
    assert typed == ["hi", ",", "there", "."]
    assert preparation.tokenize_typed("quokka's", ["hi"].__contains__) == ["quokka's"]

"""Real fairseq processes: training, resuming, two workers, half precision, validation, decoding, bad input.

The runs are tiny and their model is too; what counts is that fairseq's own commands work with the plug-in.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from forked import Forked

from eureka_nlg.metrics import score_replies
from eureka_nlg.metrics.text.generated import read_generated

pytest.importorskip("fairseq")
pytestmark = pytest.mark.slow

UPDATES_PER_EPOCH = 13
MID_EPOCH_2 = 18

# Options of the run that is resumed. Left to itself fairseq puts its batches together from the epoch that a
# process starts in, so that a run resumed in a later one would see other batches, whatever the criterion.
RESUMABLE: dict[str, Any] = {
    "label_smoothing": 0.1,
    "report_accuracy": True,
    "best_checkpoint_metric": "ppl",
    "update_epoch_batch_itr": "True",
}


class Log(NamedTuple):
    """What a run printed: statistics of each update, each epoch, each validation."""

    updates: list[dict[str, Any]]
    epochs: list[dict[str, Any]]
    validations: list[dict[str, Any]]
    text: str

    def rewards(self, epoch: int) -> list[float]:
        return [float(update["reward"]) for update in self.updates if update["epoch"] == epoch]


def parse(output: str) -> Log:
    found: dict[str, list[dict[str, Any]]] = {"train_inner": [], "train": [], "valid": []}
    for tag, statistics in re.findall(r"\| (train_inner|train|valid) \| (\{.*\})$", output, re.MULTILINE):
        found[tag].append(json.loads(statistics))
    return Log(*found.values(), output)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory, python: Any) -> Path:
    """208 pairs whose reply follows from the context, binarised by fairseq with a joined dictionary."""
    folder = tmp_path_factory.mktemp("fairseq")
    draw = random.Random(7)
    words = [f"word{number}" for number in range(40)]
    odds = [1 / (rank + 1) for rank in range(len(words))]
    for split, size in (("train", 208), ("valid", 24), ("test", 8)):
        contexts = [draw.choices(words, odds, k=draw.randint(2, 7)) for _ in range(size)]
        replies = [[f"to-{word}" for word in context[:3]] for context in contexts]
        replies[0].append(f"once-{split}")  # becomes <unk>
        for side, lines in (("context", contexts), ("reply", replies)):
            text = "".join(" ".join(line) + "\n" for line in lines)
            (folder / f"{split}.{side}").write_text(text, encoding="utf-8")
    result = python(
        *("-m", "fairseq_cli.preprocess", "--source-lang", "context", "--target-lang", "reply"),
        *("--trainpref", folder / "train", "--validpref", folder / "valid", "--testpref", folder / "test"),
        *("--destdir", folder / "bin", "--joined-dictionary", "--thresholdsrc", 2, "--thresholdtgt", 2),
    )
    assert result.returncode == 0, result.stderr
    return folder / "bin"


def arguments(data: Path, save_dir: Path, **options: Any) -> list[str]:
    """Arguments of fairseq-train; ``True`` is a flag, ``None`` drops a default."""
    defaults: dict[str, Any] = {
        "user_dir": "fairseq_plugins",
        "arch": "lstm_convai2",
        "encoder_embed_dim": 16,
        "encoder_hidden_size": 16,
        "criterion": "eureka",
        "encouragement_start_epoch": 2,
        "beta": 0.9,
        "optimizer": "adam",
        "lr": 0.01,
        "batch_size": 16,
        "max_epoch": 3,
        "save_dir": save_dir,
        "no_epoch_checkpoints": True,
        "log_format": "json",
        "log_interval": 1,
        "num_workers": 0,
        "seed": 1,
        "cpu": True,
    }
    words = [str(data)]
    for name, value in {**defaults, **options}.items():
        if value is not None:
            words += ["--" + name.replace("_", "-")] + ([] if value is True else [str(value)])
    return words


@pytest.fixture(scope="session")
def train(data: Path, python: Any) -> Any:
    """Run fairseq-train to its end and parse its log."""

    def run(save_dir: Path, **options: Any) -> Log:
        result = python("-m", "fairseq_cli.train", *arguments(data, save_dir, **options))
        assert result.returncode == 0, result.stdout[-2000:] + result.stderr
        return parse(result.stdout)

    return run


def parameters(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=False)["model"]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, train: Any) -> tuple[Path, Log]:
    """Three epochs in one go, with a checkpoint in the middle of the second."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(folder, save_interval_updates=MID_EPOCH_2, **RESUMABLE)


def test_training(whole: tuple[Path, Log]) -> None:
    folder, log = whole
    assert len(log.updates) == 3 * UPDATES_PER_EPOCH
    perplexities = [float(epoch["train_ppl"]) for epoch in log.epochs]
    assert perplexities == sorted(perplexities, reverse=True)
    assert perplexities[-1] < 0.7 * perplexities[0]
    # the bonus begins with the second epoch
    assert log.rewards(1) == [0.0] * UPDATES_PER_EPOCH
    assert max(log.rewards(2)) < 0
    assert max(log.rewards(3)) < 0
    assert float(log.epochs[2]["train_accuracy"]) > float(log.epochs[0]["train_accuracy"])
    assert 0 < float(log.epochs[0]["train_likelihood"]) < float(log.epochs[2]["train_likelihood"]) < 1
    # perplexity is that of plain cross-entropy: nll_loss is in bits
    for statistics in log.validations:
        expected = 2 ** float(statistics["valid_nll_loss"])
        assert float(statistics["valid_ppl"]) == pytest.approx(expected, rel=2e-3)
    assert float(log.validations[-1]["valid_best_ppl"]) == min(float(v["valid_ppl"]) for v in log.validations)
    assert {path.name for path in folder.iterdir()} >= {"checkpoint_best.pt", "checkpoint_last.pt"}


def test_counts_of_the_training_targets(whole: tuple[Path, Log], data: Path) -> None:
    replies = (data.parent / "train.reply").read_text(encoding="utf-8").splitlines()
    num_tokens = sum(len(reply.split()) + 1 for reply in replies)
    counted = re.search(
        r"class counts from targets: .* ([\d,]+) tokens, (\d+) of them </s>, (\d+) <unk>", whole[1].text
    )
    assert counted is not None
    assert int(counted[1].replace(",", "")) == num_tokens
    assert int(counted[2]) == len(replies)
    known = {line.split()[0] for line in (data / "dict.reply.txt").read_text().splitlines()}
    unknown = sum(word not in known for reply in replies for word in reply.split())
    assert int(counted[3]) == unknown >= 1


def test_resuming_in_the_middle_of_an_epoch(whole: tuple[Path, Log], train: Any, tmp_path: Path) -> None:
    folder, log = whole
    resumed = train(tmp_path, restore_file=folder / f"checkpoint_2_{MID_EPOCH_2}.pt", **RESUMABLE)
    rest = 3 * UPDATES_PER_EPOCH - MID_EPOCH_2
    assert len(resumed.updates) == rest
    names = ("loss", "nll_loss", "reward", "likelihood", "num_updates")
    for name in names:
        assert [update[name] for update in resumed.updates] == [
            update[name] for update in log.updates[-rest:]
        ]
    expected = parameters(folder / "checkpoint_last.pt")
    for name, value in parameters(tmp_path / "checkpoint_last.pt").items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0)


def test_resetting_the_epoch(whole: tuple[Path, Log], train: Any, tmp_path: Path) -> None:
    """--reset-dataloader makes the epoch 1 again, though the updates go on."""
    restore_file = whole[0] / f"checkpoint_2_{MID_EPOCH_2}.pt"
    log = train(tmp_path, restore_file=restore_file, reset_dataloader=True, max_epoch=2)
    assert log.updates[0]["num_updates"] == str(MID_EPOCH_2 + 1)
    assert log.rewards(1) == [0.0] * UPDATES_PER_EPOCH
    assert max(log.rewards(2)) < 0


# The same updates from one process with twice the batch, from two batches an update, and from two processes.
SAME_UPDATES: dict[str, Any] = {
    "encouragement_start_epoch": 1,
    "optimizer": "sgd",
    "lr": 0.5,
    "dropout": 0,
    "curriculum": 9,
    "sentence_avg": True,
    "max_update": 5,
    "disable_validation": True,
}


@pytest.fixture(scope="session")
def one_process(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Log]:
    """With the installed commands, in a folder that is not the project's."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    commands = Path(sys.executable).parent
    options: Any = {"cwd": elsewhere, "capture_output": True, "text": True, "env": one_thread()}
    plugin_dir = subprocess.run([commands / "eureka", "plugin-dir"], check=True, **options).stdout.strip()
    words = arguments(data, elsewhere / "run", **{**SAME_UPDATES, "batch_size": 32, "user_dir": plugin_dir})
    result = subprocess.run([commands / "fairseq-train", *words], **options)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    return elsewhere / "run", parse(result.stdout)


def one_thread() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


def assert_same_updates(actual: tuple[Path, Log], expected: tuple[Path, Log]) -> None:
    assert len(actual[1].updates) == len(expected[1].updates) == 5
    for name in ("loss", "nll_loss", "reward", "bonus", "likelihood"):
        values = [float(update[name]) for update in actual[1].updates]
        assert values == pytest.approx([float(update[name]) for update in expected[1].updates], abs=2e-3)
    assert all(float(update["reward"]) < 0 for update in actual[1].updates)
    wanted = parameters(expected[0] / "checkpoint_last.pt")
    for name, value in parameters(actual[0] / "checkpoint_last.pt").items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-4, atol=1e-5)


@pytest.mark.one_fairseq
def test_two_batches_an_update(one_process: tuple[Path, Log], train: Any, tmp_path: Path) -> None:
    log = train(tmp_path, **SAME_UPDATES, update_freq=2)
    assert_same_updates((tmp_path, log), one_process)


@pytest.mark.one_fairseq
def test_two_processes(one_process: tuple[Path, Log], data: Path, tmp_path: Path, python: Forked) -> None:
    log = in_two_processes(python, data, tmp_path, **SAME_UPDATES)
    assert_same_updates((tmp_path, log), one_process)


# What each update counts decides about the weights of the next.
FACE: dict[str, Any] = {
    **SAME_UPDATES,
    "criterion": "class_balanced",
    "class_weight": "face",
    "face_counts": "output",
    "beta": None,
    "encouragement_start_epoch": None,
}


def output_counts(checkpoint: Path, of: str = "face_output") -> torch.Tensor:
    meters = torch.load(checkpoint, weights_only=False)["extra_state"]["metrics"]
    ((_, name, _, state),) = meters[of]
    assert name == "counts"
    return state["sum"]


@pytest.mark.one_fairseq
def test_counts_of_the_output_survive_a_resume_and_agree_between_processes(
    train: Any, data: Path, tmp_path: Path, python: Forked
) -> None:
    whole = train(tmp_path / "whole", **FACE, save_interval_updates=3, batch_size=32)
    middle, last = tmp_path / "whole" / "checkpoint_1_3.pt", tmp_path / "whole" / "checkpoint_last.pt"
    assert 0 < output_counts(middle).sum() < output_counts(last).sum()
    assert output_counts(last).sum() == sum(float(update["wpb"]) for update in whole.updates)

    resumed = train(tmp_path / "resumed", **FACE, restore_file=middle, batch_size=32)
    assert [update["loss"] for update in resumed.updates] == [update["loss"] for update in whole.updates[3:]]
    assert output_counts(tmp_path / "resumed" / "checkpoint_last.pt").equal(output_counts(last))
    expected = parameters(last)
    for name, value in parameters(tmp_path / "resumed" / "checkpoint_last.pt").items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0)
    # without the counts it is another training
    forgetful = train(tmp_path / "reset", **FACE, restore_file=middle, batch_size=32, reset_meters=True)
    assert forgetful.updates[0]["loss"] != whole.updates[3]["loss"]

    in_two_processes(python, data, tmp_path, **FACE)
    assert output_counts(tmp_path / "checkpoint_last.pt").equal(output_counts(last))
    for name, value in parameters(tmp_path / "checkpoint_last.pt").items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5)


@pytest.mark.one_fairseq
def test_words_of_own_replies_are_counted_over_processes(
    train: Any, data: Path, tmp_path: Path, python: Forked
) -> None:
    """Nothing is over-used before something is counted, so that both updates decode with equal models."""
    own = {"task": "dialogue", "sequence_unlikelihood": "vocabulary", "sequence_unlikelihood_rate": 1.0}
    options = {**SAME_UPDATES, **own, "lr": 1e-4, "max_update": 2}
    whole = train(tmp_path / "one", **options, batch_size=32)
    log = in_two_processes(python, data, tmp_path / "two", **options)
    one, two = (
        output_counts(tmp_path / name / "checkpoint_last.pt", "own_replies") for name in ("one", "two")
    )
    assert two.equal(one)
    assert one.sum() > 64  # replies of two batches, with their ends
    for logged in (whole, log):
        assert [float(update["own_punished"]) > 0 for update in logged.updates] == [False, True]


def in_two_processes(python: Forked, data: Path, folder: Path, **options: Any) -> Log:
    """Run fairseq-train in two processes and parse the log of the first."""
    folder.mkdir(exist_ok=True)
    together = {
        "distributed_init_method": f"file://{folder}/store",
        "distributed_world_size": 2,
        "distributed_no_spawn": True,
        "distributed_backend": "gloo",
        "ddp_backend": "legacy_ddp",
    }
    commands = [
        ["-m", "fairseq_cli.train", *arguments(data, folder, **options, **together, distributed_rank=rank)]
        for rank in range(2)
    ]
    first, second = python.together(commands)
    for done in (first, second):
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return parse(first.stdout)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision(data: Path, python: Any, tmp_path: Path, precision: str) -> None:
    options = {"encouragement_start_epoch": 1, "max_update": UPDATES_PER_EPOCH, "log_interval": 3}
    # without a GPU the gradients cannot be laid out flat
    words = arguments(data, tmp_path, **options, **{precision: True}, fp16_no_flatten_grads=True)
    # fairseq-train takes --bf16 for a TPU and asks for one; what `eureka train` runs does not
    program = "eureka_nlg.dialogue.fairseq_train" if precision == "bf16" else "fairseq_cli.train"
    result = python("-m", program, *words)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    log = parse(result.stdout)
    losses = [float(update["nll_loss"]) for update in log.updates]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert all(float(update["reward"]) < 0 for update in log.updates)
    assert np.isfinite(float(log.validations[-1]["valid_ppl"]))
    assert all(("loss_scale" in update) == (precision == "fp16") for update in log.updates)


def read_records(output: str) -> list[str]:
    """Ids of the hypotheses that fairseq-generate printed."""
    return sorted(re.findall(r"^H-(\d+)\t", output, re.MULTILINE))


def test_validate_and_generate(whole: tuple[Path, Log], data: Path, python: Any) -> None:
    folder, log = whole
    checkpoint = folder / "checkpoint_last.pt"
    common = [data, "--user-dir", "fairseq_plugins", "--task", "translation", "--path", checkpoint, "--cpu"]
    common += ["--batch-size", 16]
    validated = python(
        "-m", "fairseq_cli.validate", *common, "--log-format", "json", "--valid-subset", "valid"
    )
    assert validated.returncode == 0, validated.stderr
    (statistics,) = parse(validated.stdout).validations
    for name in ("ppl", "nll_loss", "loss", "likelihood", "bonus", "reward", "accuracy"):
        assert float(statistics[f"valid_{name}"]) == float(log.validations[-1][f"valid_{name}"])

    generated = python("-m", "fairseq_cli.generate", *common, "--gen-subset", "test", "--beam", 2)
    assert generated.returncode == 0, generated.stderr
    assert read_records(generated.stdout) == [str(index) for index in range(8)]


@pytest.mark.one_fairseq
def test_decoding_in_shards(whole: tuple[Path, Log], data: Path, python: Any, tmp_path: Path) -> None:
    """What two processes decode, one after the other in a file, has the scores of the whole."""

    def generated(*options: Any) -> str:
        words = [data, "--user-dir", "fairseq_plugins", "--task", "translation", "--cpu"]
        words += [
            "--path",
            whole[0] / "checkpoint_last.pt",
            "--gen-subset",
            "valid",
            "--batch-size",
            5,
            *options,
        ]
        result = python("-m", "fairseq_cli.generate", *words)
        assert result.returncode == 0, result.stderr
        return result.stdout

    shards = [
        generated("--distributed-world-size", 2, "--distributed-rank", rank, "--distributed-no-spawn")
        for rank in (0, 1)
    ]
    outputs = {"whole": generated(), "shards": "".join(shards)}
    assert all(0 < len(read_records(shard)) < len(read_records(outputs["whole"])) for shard in shards)
    scores = []
    for name, output in outputs.items():
        path = tmp_path / name
        path.write_text(output)
        read = read_generated(path)
        scores.append(score_replies(read.hypotheses, read.references or ()))
    assert scores[0] == scores[1]


@pytest.mark.parametrize(
    ("criterion", "options"),
    [
        pytest.param("focal", {"focal_gamma": 1}, marks=pytest.mark.one_fairseq),
        pytest.param(
            "halted_focal", {"halted_fraction": 0.5, "loss_start_epoch": 2}, marks=pytest.mark.one_fairseq
        ),
        ("class_balanced", {"beta": 0.9, "focal_gamma": 1, "fused_linear": True}),
    ],
)
def test_baselines_train(train: Any, tmp_path: Path, criterion: str, options: dict[str, Any]) -> None:
    options = {"beta": None, "encouragement_start_epoch": None, "max_epoch": 2, **options}
    log = train(tmp_path, criterion=criterion, **options)
    perplexities = [float(line["valid_ppl"]) for line in log.validations]
    assert perplexities[-1] < perplexities[0]


def test_fused_linear_is_the_same_training(train: Any, tmp_path: Path) -> None:
    runs = [
        train(tmp_path / name, max_epoch=2, dropout=0, **options)
        for name, options in (("logits", {}), ("fused", {"fused_linear": True}))
    ]
    for name in ("loss", "nll_loss", "reward", "gnorm"):
        plain, fused = ([float(update[name]) for update in run.updates] for run in runs)
        assert fused == pytest.approx(plain, rel=1e-2, abs=2e-3)


def write_counts(path: Path, data: Path, change: Any) -> Path:
    counts = ["3"] * (4 + len((data / "dict.reply.txt").read_text().splitlines()))
    change(counts)
    path.write_text("\n".join(counts) + "\n")
    return path


TRANSFORMER = {
    "arch": "transformer",
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 1,
    "decoder_attention_heads": 1,
    "encoder_hidden_size": None,
}


@pytest.mark.parametrize(
    ("options", "change", "named"),
    [
        pytest.param({"beta": 1}, None, ["--beta", "1.0"], id="beta"),
        pytest.param(
            {},
            lambda counts: counts.pop(),
            ["--class-counts", "counts.txt", "entries"],
            id="wrong length",
            marks=pytest.mark.one_fairseq,
        ),
        pytest.param(
            {},
            lambda counts: counts.insert(5, "-3"),
            ["--class-counts", "counts.txt", "line 6", "-3"],
            id="negative count",
            marks=pytest.mark.one_fairseq,
        ),
        pytest.param(
            {**TRANSFORMER, "adaptive_softmax_cutoff": "10,20"},
            None,
            ["--adaptive-softmax-cutoff"],
            id="adaptive softmax",
        ),
    ],
)
def test_bad_input_is_one_line(
    data: Path, python: Any, tmp_path: Path, options: Any, change: Any, named: Sequence[str]
) -> None:
    if change is not None:
        options = {**options, "class_counts": write_counts(tmp_path / "counts.txt", data, change)}
    result = python("-m", "fairseq_cli.train", *arguments(data, tmp_path / "run", **options))
    assert result.returncode != 0
    last_line = result.stderr.strip().splitlines()[-1]
    for word in named:
        assert word in last_line
    assert "Traceback" not in result.stdout + result.stderr
    assert not list(tmp_path.rglob("*.pt"))


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory, train: Any) -> Path:
    """Checkpoints of the first two epochs of cross-entropy: focal loss with gamma 0, on the same kernel."""
    folder = tmp_path_factory.mktemp("plain")
    criterion = {"criterion": "focal", "focal_gamma": 0.0, "encouragement_start_epoch": None, "beta": None}
    train(folder, no_epoch_checkpoints=None, max_epoch=2, **RESUMABLE, **criterion)
    return folder


def branch(checkpoint: Path, data: Path, save_dir: Path, python: Any, **options: Any) -> Any:
    """``eureka train`` of the options of the whole run, with ``--branch-from``."""
    options = {**RESUMABLE, **options}
    config = save_dir.with_suffix(".yaml")
    words = arguments(data, save_dir, **options)
    lines, position = [f"data: {words[0]}"], 1
    while position < len(words):
        key, value = words[position][2:], "true"
        if position + 1 < len(words) and not words[position + 1].startswith("--"):
            value = words[position + 1]
            position += 1
        lines.append(f"{key}: {value!r}" if value != "true" else f"{key}: true")
        position += 1
    config.write_text("\n".join(lines) + "\n")
    return python("-m", "eureka_nlg.cli.main", "train", config, "--verbose", "--branch-from", checkpoint)


def test_a_branch_is_the_whole_run(
    whole: tuple[Path, Log], plain: Path, data: Path, python: Any, tmp_path: Path
) -> None:
    result = branch(plain, data, tmp_path / "run", python)  # that is, its checkpoint1.pt
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    assert f"beginning with the epochs of {plain}" in result.stdout
    log = parse(result.stdout)
    assert [update["epoch"] for update in log.updates] == [2] * UPDATES_PER_EPOCH + [3] * UPDATES_PER_EPOCH
    expected = parameters(whole[0] / "checkpoint_last.pt")
    for name, value in parameters(tmp_path / "run" / "checkpoint_last.pt").items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0)
    # given again it goes on with its own checkpoint, whatever the branch was
    again = branch(plain / "checkpoint2.pt", data, tmp_path / "run", python)
    assert again.returncode == 0
    assert "beginning with" not in again.stdout
    assert not parse(again.stdout).updates


@pytest.mark.one_fairseq
@pytest.mark.parametrize(
    ("options", "best"),
    [
        pytest.param({}, "plain/checkpoint1.pt", id="of the checkpoint"),
        pytest.param({"encouragement_start_epoch": 3}, "plain/checkpoint1.pt", id="of an earlier one"),
        pytest.param({"best_checkpoint_metric": "loss"}, "run/checkpoint2.pt", id="by another score"),
    ],
)
def test_the_best_checkpoint_may_be_of_the_shared_epochs(
    train: Any, data: Path, python: Any, tmp_path: Path, options: dict[str, Any], best: str
) -> None:
    """The best is the one with the highest perplexity here, which is that of the first epoch."""
    highest = {"maximize_best_checkpoint_metric": True, "no_epoch_checkpoints": None}
    criterion = {"criterion": "focal", "focal_gamma": 0.0, "encouragement_start_epoch": None, "beta": None}
    train(tmp_path / "plain", max_epoch=2, **{**RESUMABLE, **criterion, **highest})
    result = branch(tmp_path / "plain", data, tmp_path / "run", python, **{**highest, **options})
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    expected = parameters(tmp_path / best)
    for name, value in parameters(tmp_path / "run" / "checkpoint_best.pt").items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0)


@pytest.mark.one_fairseq
@pytest.mark.parametrize(
    ("checkpoint", "options", "message"),
    [
        (
            "checkpoint2.pt",
            {},
            "the new run: its loss is plain cross-entropy for 1 epochs, but",
        ),
        ("checkpoint1.pt", {"lr": 0.02}, "lr ('0.01' there, '0.02' here); train without"),
        ("checkpoint1.pt", {"dropout": 0.3}, "dropout ('0.1' there, '0.3' here)"),
        ("checkpoint1.pt", {"label_smoothing": 0.2}, "label_smoothing ('0.1' there, '0.2' here)"),
        ("checkpoint1.pt", {"encoder_hidden_size": 24}, "encoder_hidden_size ('16' there, '24' here)"),
        ("checkpoint9.pt", {}, "checkpoint9.pt: No such file"),
    ],
)
def test_another_run_is_no_branch(
    plain: Path,
    data: Path,
    python: Any,
    tmp_path: Path,
    checkpoint: str,
    options: dict[str, Any],
    message: str,
) -> None:
    result = branch(plain / checkpoint, data, tmp_path / "run", python, **options)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not list((tmp_path / "run").glob("*"))


@pytest.mark.one_fairseq
def test_a_run_that_began_with_its_loss_is_no_source(
    whole: tuple[Path, Log], data: Path, python: Any, tmp_path: Path
) -> None:
    result = branch(whole[0] / "checkpoint_last.pt", data, tmp_path / "run", python)
    assert result.returncode == 2
    assert "checkpoint_last.pt: its loss is plain cross-entropy for 1 epochs" in result.stderr
    middle = whole[0] / f"checkpoint_2_{MID_EPOCH_2}.pt"
    result = branch(middle, data, tmp_path / "run", python)
    assert result.returncode == 2
    assert "is from the middle of an epoch" in result.stderr

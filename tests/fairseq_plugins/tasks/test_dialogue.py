"""Replies decoded on validation: which ones, their scores, in how many processes, and what they decide."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forked import Forked

pytest.importorskip("fairseq")

from fairseq.data import Dictionary, LanguagePairDataset
from fairseq.logging import metrics

from eureka_nlg.errors import UserError
from fairseq_plugins.tasks import DialogueConfig, DialogueTask
from fairseq_plugins.tasks.dialogue import score

ROOT = Path(__file__).resolve().parents[3]
NUM_VALID = 45
SCORES = ("macro_f", "micro_f", "diversity_4")


def dialogue_task(dictionary: Dictionary, folder: Path, num_examples: int, **options: Any) -> DialogueTask:
    """Task with a validation split of contexts of 1 to 7 words; example i is answered by word i."""
    settings = {"best_checkpoint_metric": "ppl", "maximize_best_checkpoint_metric": False, **options}
    task = DialogueTask(DialogueConfig(data=str(folder), **settings), dictionary, dictionary)
    sources = [torch.full((1 + index % 7,), 4) for index in range(num_examples)]
    targets = [torch.tensor([4 + index % 6, 2]) for index in range(num_examples)]
    sizes = [len(source) for source in sources]
    task.datasets["valid"] = LanguagePairDataset(
        sources, sizes, dictionary, targets, [2] * num_examples, dictionary
    )
    return task


def batches(task: DialogueTask) -> list[list[int]]:
    task.get_batch_iterator(task.dataset("valid"), max_sentences=4, required_batch_size_multiple=8)
    assert task._to_decode is not None
    return [list(batch) for batch in task._batches(task._to_decode)]


def test_all_examples_are_decoded_in_batches_of_similar_length(
    dictionary: Dictionary, tmp_path: Path
) -> None:
    task = dialogue_task(dictionary, tmp_path, 30, eval_replies=-1)
    found = batches(task)
    # 30 examples in batches of 4: fairseq itself would drop what is left over at the end
    assert sorted(index for batch in found for index in batch) == list(range(30))
    assert max(map(len, found)) == 4
    lengths = [1 + index % 7 for batch in found for index in batch]
    assert lengths == sorted(lengths)


def test_the_sample_is_the_same_at_every_validation(dictionary: Dictionary, tmp_path: Path) -> None:
    task = dialogue_task(dictionary, tmp_path, 30, eval_replies=10)
    first = batches(task)
    np.random.seed(5)
    assert batches(task) == first
    chosen = {index for batch in first for index in batch}
    assert len(chosen) == sum(map(len, first)) == 10
    assert chosen != set(range(10))
    assert len(batches(dialogue_task(dictionary, tmp_path, 30, eval_replies=99))) == 8  # fewer than asked for


def test_no_decoding_when_it_is_off(dictionary: Dictionary, tmp_path: Path) -> None:
    task = dialogue_task(dictionary, tmp_path, 9, eval_replies=0)
    task.get_batch_iterator(task.dataset("valid"), max_sentences=4)
    assert task._to_decode is None


def test_scripts_without_spaces_are_scored_by_characters() -> None:
    """As words, whole replies would have to be the same, and selection by macro F would be by chance."""
    # 昨天你买了 and 。 are right, 茶 for 书 is not
    found = score(["昨天你买了茶。"], ["昨天你买了书。"])
    assert found.scores["micro_f"] == pytest.approx(100 * 6 / 7)
    assert found.scores["diversity_4"] == 100
    assert score(["you bought tea"], ["you bought tea ."]).signature["tokenisation"] == "whitespace"


def test_scores_are_logged_on_validation_alone(dictionary: Dictionary, tmp_path: Path) -> None:
    class Criterion(torch.nn.Module):
        @staticmethod
        def reduce_metrics(logging_outputs: Any) -> None:
            metrics.log_scalar("loss", 1.0)

    task, criterion = dialogue_task(dictionary, tmp_path, 9), Criterion()
    task.scores = {"macro_f": 1.23456}
    for training, expected in ((True, None), (False, 1.2346)):
        criterion.train(training)
        with metrics.aggregate(new_root=True) as found:
            for _ in range(2):
                task.reduce_metrics([{"ntokens": 1, "nsentences": 1}], criterion)
        assert found.get_smoothed_values().get("macro_f") == expected


def test_references_are_those_of_the_prepared_folder(dictionary: Dictionary, tmp_path: Path) -> None:
    task = dialogue_task(dictionary, tmp_path, 2)
    task.dataset("valid").tgt[1] = torch.tensor([3, 5, 2])
    references = task._references(task.dataset("valid"))
    assert [references(0), references(1)] == ["the", "<<unk>> a"]  # never equal to a decoded <unk>
    (tmp_path / "references").mkdir()
    (tmp_path / "references" / "valid.txt").write_text("the\nzebra a\n")
    assert task._references(task.dataset("valid"))(1) == "zebra a"
    (tmp_path / "references" / "valid.txt").write_text("the\n")
    with pytest.raises(UserError, match=r"valid\.txt: 1 lines for the 2 examples"):
        task._references(task.dataset("valid"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eval_replies": -2}, "--eval-replies -2"),
        ({"eval_replies_beam": 0}, "--eval-replies-beam must be positive"),
        ({"eval_replies_max_len": 0}, "--eval-replies-max-len must be positive"),
        ({"best_checkpoint_metric": "macro_f"}, "--maximize-best-checkpoint-metric as well"),
        (
            {
                "best_checkpoint_metric": "diversity_4",
                "maximize_best_checkpoint_metric": True,
                "eval_replies": 0,
            },
            "diversity_4 needs decoded replies",
        ),
        ({"sequence_unlikelihood": "repetition,vocab"}, "--sequence-unlikelihood vocab: expected any of"),
        (
            {"sequence_unlikelihood": "context", "sequence_unlikelihood_alpha": -1.0},
            "--sequence-unlikelihood-alpha must be finite and not negative",
        ),
        (
            {"sequence_unlikelihood": "context", "sequence_unlikelihood_rate": 1.5},
            "--sequence-unlikelihood-rate must be in",
        ),
        (
            {"sequence_unlikelihood": "context", "sequence_unlikelihood_max_len": 0},
            "--sequence-unlikelihood-max-len must be positive",
        ),
    ],
)
def test_options_that_cannot_work(
    dictionary: Dictionary, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    task = dialogue_task(dictionary, tmp_path, 2, **options)
    with pytest.raises(UserError, match=message):
        task.begin_epoch(1, None)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, python: Any) -> Path:
    """Replies that follow from their contexts; the last validation batch is short and has unseen words."""
    folder = tmp_path_factory.mktemp("corpus")
    draw = random.Random(3)
    words = [f"word{number}" for number in range(20)]
    for split, size in (("train", 160), ("valid", NUM_VALID)):
        lines = []
        for number in range(size):
            context = draw.choices(words, [1 / (rank + 1) for rank in range(20)], k=draw.randint(1, 9))
            reply = [f"to-{word}" for word in context[:6]] + ["ok", f"{split}{number % 4}"]
            lines.append(f"{' '.join(context)}\t{' '.join(reply)}\n")
        (folder / f"{split}.tsv").write_text("".join(lines))
    out = folder.parent / f"{folder.name}-data"
    done = python(
        *("-m", "eureka_nlg.cli.main", "prepare", "--format", "tsv", "--out", out),
        *("--train", folder / "train.tsv", "--valid", folder / "valid.tsv"),
    )
    assert done.returncode == 0, done.stderr
    return out


def arguments(data: Path, save_dir: Path, **options: Any) -> list[str]:
    """Arguments of fairseq-train; ``True`` is a flag."""
    settings: dict[str, Any] = {
        "user_dir": "fairseq_plugins",
        "task": "dialogue",
        "eval_replies": -1,
        "eval_replies_max_len": 20,
        "best_checkpoint_metric": "macro_f",
        "maximize_best_checkpoint_metric": True,
        "arch": "lstm_convai2",
        "encoder_embed_dim": 16,
        "encoder_hidden_size": 32,
        "input_feeding": 1,  # learns these few pairs slowly enough for the epochs to differ
        "criterion": "label_smoothed_cross_entropy",
        "optimizer": "adam",
        "lr": 0.02,
        "batch_size": 8,
        "required_batch_size_multiple": 1,
        "max_epoch": 4,
        "save_dir": save_dir,
        "no_epoch_checkpoints": True,
        "log_format": "json",
        "num_workers": 0,
        "seed": 1,
        "cpu": True,
        **options,
    }
    words = [str(data)]
    for name, value in settings.items():
        words += ["--" + name.replace("_", "-")] + ([] if value is True else [str(value)])
    return words


def logged(output: str, tag: str) -> list[dict[str, str]]:
    return [json.loads(found) for found in re.findall(rf"\| {tag} \| (\{{.*\}})$", output, re.MULTILINE)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data: Path, python: Any) -> tuple[Path, str]:
    """Four epochs, the best by macro F."""
    folder = tmp_path_factory.mktemp("run")
    words = arguments(data, folder, tensorboard_logdir=folder / "tensorboard")
    done = python("-m", "fairseq_cli.train", *words)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return folder, done.stdout


@pytest.mark.slow
def test_the_best_checkpoint_is_the_one_with_the_highest_macro_f(run: tuple[Path, str]) -> None:
    folder, output = run
    validations = logged(output, "valid")
    macro_f = [float(statistics["valid_macro_f"]) for statistics in validations]
    assert len(macro_f) == 4
    assert max(macro_f) > 2 * macro_f[0]
    assert float(validations[-1]["valid_best_macro_f"]) == max(macro_f)
    assert not any("macro_f" in name for statistics in logged(output, "train") for name in statistics)
    best = torch.load(folder / "checkpoint_best.pt", weights_only=False)
    assert best["extra_state"]["best"] == max(macro_f)
    (events,) = (folder / "tensorboard" / "valid").iterdir()
    assert all(name.encode() in events.read_bytes() for name in SCORES)


@pytest.mark.slow
def test_scores_are_those_of_generate_and_evaluate(
    run: tuple[Path, str], data: Path, python: Any, tmp_path: Path
) -> None:
    checkpoint, out, scores = (
        run[0] / "checkpoint_last.pt",
        tmp_path / "replies.txt",
        tmp_path / "scores.json",
    )
    eureka = ("-m", "eureka_nlg.cli.main")
    done = python(
        *(*eureka, "generate", checkpoint, "--split", "valid", "--beam", 1, "--max-len-b", 20, "--out", out)
    )
    assert done.returncode == 0, done.stderr
    references = data / "references" / "valid.txt"
    done = python(*eureka, "evaluate", "--hypotheses", out, "--references", references, "--json", scores)
    assert done.returncode == 0, done.stderr
    expected = json.loads(scores.read_text())
    assert expected["num_pairs"] == NUM_VALID
    found = logged(run[1], "valid")[-1]
    for name in SCORES:
        assert float(found[f"valid_{name}"]) == round(expected["scores"][name], 4)
    assert 2 < float(found["valid_macro_f"]) < 95  # a model that knows something, and not everything


@pytest.mark.one_fairseq
@pytest.mark.slow
def test_training_against_what_its_own_replies_over_use(data: Path, python: Any, tmp_path: Path) -> None:
    """At first a model says one word again and again; the counts of what it said are in the checkpoint."""
    own = {"sequence_unlikelihood": "repetition", "sequence_unlikelihood_rate": 1}
    own |= {"sequence_unlikelihood_ngram": 1, "sequence_unlikelihood_max_len": 10, "eval_replies": 0}
    words = arguments(data, tmp_path, **own, best_checkpoint_metric="ppl", max_epoch=3)
    words.remove("--maximize-best-checkpoint-metric")
    done = python("-m", "fairseq_cli.train", *words)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    epochs = logged(done.stdout, "train")
    punished = [float(epoch["train_own_punished"]) for epoch in epochs]
    assert punished[-1] < 0.9 * punished[0]
    assert all(float(epoch["train_own_unlikelihood"]) > 0 for epoch in epochs)
    assert float(epochs[-1]["train_ppl"]) < float(epochs[0]["train_ppl"])
    meters = torch.load(tmp_path / "checkpoint_last.pt", weights_only=False)["extra_state"]["metrics"]
    ((_, _, _, said),) = meters["own_replies"]
    assert 3 * 160 * 2 < said["sum"].sum() <= 3 * 160 * 11  # an end in each of them


# The model of the run goes on with learning rate 0, so every validation must find the scores of the last one.
UNCHANGED = {"optimizer": "sgd", "lr": 0, "reset_optimizer": True, "reset_dataloader": True}
WAYS: dict[str, tuple[int, dict[str, Any]]] = {
    "two batches an update, patience by macro F": (1, {"update_freq": 2, "patience": 1, "batch_size": 7}),
    "patience by perplexity": (
        1,
        {"best_checkpoint_metric": "ppl", "patience": 1, "eval_replies": NUM_VALID},
    ),
    # Nine batches of five for two processes: the second one has a dummy batch in its validation. What one
    # process would broadcast of the checkpoint, torch.load(weights_only=True) of the other refuses.
    "two processes": (2, {"batch_size": 5, "max_epoch": 1, "load_checkpoint_on_all_dp_ranks": True}),
}


@pytest.mark.one_fairseq
@pytest.mark.slow
@pytest.mark.parametrize(("num_processes", "options"), WAYS.values(), ids=WAYS)
def test_same_scores_however_the_work_is_divided(
    run: tuple[Path, str],
    data: Path,
    tmp_path: Path,
    python: Forked,
    num_processes: int,
    options: dict[str, Any],
) -> None:
    options = {**UNCHANGED, "restore_file": run[0] / "checkpoint_last.pt", "reset_meters": True, **options}
    commands = []
    for rank in range(num_processes):
        if num_processes > 1:
            options |= {
                "distributed_init_method": f"file://{tmp_path}/store",
                "distributed_rank": rank,
                "distributed_world_size": num_processes,
                "distributed_no_spawn": True,
                "distributed_backend": "gloo",
                "ddp_backend": "legacy_ddp",
            }
        words = arguments(data, tmp_path, **options)
        if options.get("best_checkpoint_metric") == "ppl":
            words.remove("--maximize-best-checkpoint-metric")
        commands.append(["-m", "fairseq_cli.train", *words])
    ended = python.together(commands)
    assert [done.returncode for done in ended] == [0] * num_processes, (
        ended[0].stdout[-2000:] + ended[0].stderr
    )
    output = ended[0].stdout
    found, expected = logged(output, "valid"), logged(run[1], "valid")[-1]
    # without an improvement the run ends after the second epoch
    assert len(found) == (2 if "patience" in options else 1)
    for statistics in found:
        assert {name: statistics[f"valid_{name}"] for name in SCORES} == {
            name: expected[f"valid_{name}"] for name in SCORES
        }

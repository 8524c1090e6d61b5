"""Runs: exact resumption and branching, second stages, BBN, and what stops one before it starts."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from eureka_nlg.analysis import read_analysis
from eureka_nlg.errors import UserError
from eureka_nlg.metrics import group_accuracy
from eureka_nlg.vision.classification.config import Config
from eureka_nlg.vision.classification.data import load_data
from eureka_nlg.vision.classification.evaluation import calibration_error
from eureka_nlg.vision.classification.methods.catalogue import classification
from eureka_nlg.vision.classification.models import networks
from eureka_nlg.vision.classification.models.resnet_cifar import cifar_resnet
from eureka_nlg.vision.classification.runs import agrees_until, evaluate_run, train_run
from eureka_nlg.vision.classification.task import Classification
from eureka_nlg.vision.config_file import read_config
from eureka_nlg.vision.predictions_file import read_predictions
from eureka_nlg.vision.run_folder import make_accelerator
from eureka_nlg.vision.training import Interrupted
from eureka_nlg.vision.training.checkpoint import load_checkpoint
from eureka_nlg.vision.training.log import TrainingLog, read_log

datasets = pytest.importorskip("datasets")


@pytest.fixture(scope="module", autouse=True)
def shallow() -> Iterator[None]:
    """ResNet of 8 layers where the config says 32: what is tested here is the run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "cifar_resnet", lambda depth: cifar_resnet(8))
        yield


@pytest.fixture(scope="module")
def first_stage(shallow: None, run_options: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Checkpoint of a plain run of ``overrides``."""
    folder = tmp_path_factory.mktemp("first_stage")
    (folder / "empty.yaml").write_text("")
    train_run(read_config(Config, folder / "empty.yaml", run_options(folder / "run")))
    return str(folder / "run" / "checkpoint.pt")


STEPS = 4  # an epoch: 54 images in batches of 16


def interrupt_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Send this process a signal when so many steps are done, while the step is still being logged."""
    done = 0
    plain = TrainingLog.step

    def step(self: TrainingLog) -> None:
        nonlocal done
        plain(self)
        done += 1
        if done == steps:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(TrainingLog, "step", step)


def same(one: Any, other: Any) -> bool:
    """Equality bit for bit of nested dictionaries and lists of tensors."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def state(folder: str | Path) -> dict[str, Any]:
    content = load_checkpoint(Path(folder) / "checkpoint.pt")
    del content["config"]
    return content


def scores(folder: str | Path) -> list[dict[str, Any]]:
    """The log without what the clock says."""
    clock = {"seconds", "seconds_per_step", "waiting_for_data"}
    return [
        {key: value for key, value in entry.items() if key not in clock}
        for entry in read_log(Path(folder) / "log.jsonl")
    ]


@pytest.mark.parametrize(
    ("steps", "options"),
    [
        (1, ["training.precision=bfloat16"]),
        (STEPS, []),  # the epoch is over, but not yet logged
        (STEPS + 2, ["sampling=class_balanced", "training.accumulate=3"]),
        (STEPS + 1, ["method=bbn", "training.channels_last=false"]),
        (3, ["loss.name=eureka", "deferral.plain_epochs=1"]),
        (
            STEPS + 2,
            ["method=mbj", "mbj.memory_size=9", "training.accumulate=2"],
        ),  # the memory has gone round
    ],
)
def test_interrupted_and_resumed_is_the_same_bit_for_bit(
    steps: int, options: list[str], make_config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = [*options, "training.evaluate_every=1"]
    whole = make_config(*options, f"save_dir={tmp_path / 'whole'}")
    train_run(whole)
    config = make_config(*options)
    with monkeypatch.context() as patch:
        interrupt_after(patch, steps)
        with pytest.raises(Interrupted, match=f"after step {steps}; the same command goes on"):
            train_run(config)
    assert state(config.save_dir)["step"] == steps
    torch.manual_seed(99)  # whatever the new process drew before
    train_run(config)
    assert same(state(whole.save_dir), state(config.save_dir))
    assert scores(whole.save_dir) == scores(config.save_dir)
    assert len(scores(whole.save_dir)) == 2
    assert {path.name for path in Path(config.save_dir).iterdir()} == {
        "analysis.json",
        "checkpoint.pt",
        "config.yaml",
        "evaluation.json",
        "log.jsonl",
        "predictions.npz",
        "tensorboard",
    }


def test_seeds_differ(make_config: Any, tmp_path: Path) -> None:
    folders = [tmp_path / f"seed{seed}" for seed in (1, 2)]
    for seed, folder in enumerate(folders, start=1):
        train_run(make_config(f"seed={seed}", f"save_dir={folder}", "training.epochs=1"))
    assert not same(state(folders[0])["network"], state(folders[1])["network"])


@pytest.mark.parametrize(
    "method",
    [
        ["loss.name=eureka"],
        ["loss.class_balanced=true"],
        ["sampling=class_balanced"],
        ["method=mbj", "mbj.memory_size=20"],
    ],
    ids=["EL", "CB", "RS", "MBJ"],
)
def test_a_branch_is_the_deferred_run_bit_for_bit(
    method: list[str], make_config: Any, tmp_path: Path
) -> None:
    deferred = [*method, "deferral.plain_epochs=1"]
    train_run(make_config("training.keep_epochs=[1]", f"save_dir={tmp_path / 'ce'}"))
    train_run(make_config(*deferred, f"save_dir={tmp_path / 'whole'}"))
    branch = f"init_from={tmp_path / 'ce' / 'epoch001.pt'}"
    train_run(make_config(*deferred, branch, f"save_dir={tmp_path / 'branch'}"))
    assert same(state(tmp_path / "whole"), state(tmp_path / "branch"))
    assert bool(state(tmp_path / "whole")["task"]) == ("method=mbj" in method)  # the memory
    assert not same(state(tmp_path / "whole"), state(tmp_path / "ce"))
    assert [entry["epoch"] for entry in scores(tmp_path / "branch")] == [2]


def test_a_branch_must_agree_until_it_starts(make_config: Any, tmp_path: Path) -> None:
    train_run(make_config("training.keep_epochs=[1]", f"save_dir={tmp_path / 'ce'}"))
    branch = ["loss.name=eureka", f"init_from={tmp_path / 'ce' / 'epoch001.pt'}"]
    for options, message in [
        (["deferral.plain_epochs=1", "seed=2"], r"not the same until then: seed \(1 there, 2 here\)"),
        (["deferral.plain_epochs=0"], "the loss or the sampling of epoch 1"),
        (["deferral.plain_epochs=1", "deferral.loss.name=ldam"], "the classifier, linear or cosine"),
        (["deferral.plain_epochs=1", "training.batch_size=8"], "training.batch_size"),
        (["method=mbj", "loss.name=cross_entropy", "mbj.memory_size=9"], "the memory .mbj. of epoch 1"),
    ]:
        with pytest.raises(UserError, match=message):
            train_run(make_config(*branch, *options))
    with pytest.raises(UserError, match="no such file"):
        train_run(make_config("init_from=nowhere.pt"))


def test_a_branch_has_the_same_scale_of_cosines(make_config: Any) -> None:
    """Its plain epochs are on other logits otherwise."""
    plain = make_config("model.head=cosine", "training.epochs=2")
    for scale, agrees in ((30, True), (20, False)):
        options = ["loss.name=ldam", f"loss.scale={scale}", "deferral.plain_epochs=1", "model.head=cosine"]
        ldam = make_config(*options)
        assert (agrees_until(ldam, plain, 1) is None) == agrees


@pytest.mark.parametrize("method", ["crt", "lws"])
def test_second_stage_keeps_the_features(method: str, make_config: Any, tmp_path: Path) -> None:
    first = make_config("loss.name=eureka", f"save_dir={tmp_path / 'first'}")
    train_run(first)
    source = f"{tmp_path / 'first'}/checkpoint.pt"
    options = [f"method={method}", f"init_from={source}", "sampling=class_balanced"]
    config = make_config(*options)
    result = train_run(config)
    before, after = state(first.save_dir)["network"], state(config.save_dir)["network"]
    backbone = [key for key in before if key.startswith("backbone.")]
    assert len(backbone) > 40
    assert all(torch.equal(before[key], after[key]) for key in backbone)
    if method == "lws":
        assert torch.equal(before["classifier.weight"], after["classifier.base.weight"])
        assert not torch.equal(after["classifier.scale"], torch.ones(4))
    assert evaluate_run(Path(config.save_dir))["accuracy"] == result["accuracy"]

    cosine = make_config(*options, "model.head=cosine", f"save_dir={tmp_path / 'cosine'}")
    if method == "crt":
        train_run(cosine)  # a fresh classifier of any kind
    else:
        with pytest.raises(UserError, match=r"does not fit model resnet32 with 4 classes \(cosine head"):
            train_run(cosine)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("oltr", ["loss.name=eureka", "loss.likelihood_cap=0.9", "training.accumulate=2"]),
        ("fsa", ["sampling=class_balanced", "fsa.confusing_classes=1", "fsa.specific_threshold=0.5"]),
    ],
)
def test_a_second_stage_goes_on_bit_for_bit(
    method: str,
    options: list[str],
    first_stage: str,
    make_config: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = [f"method={method}", f"init_from={first_stage}", *options]
    whole, config = make_config(*options, f"save_dir={tmp_path / 'whole'}"), make_config(*options)
    result = train_run(whole)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        with pytest.raises(Interrupted):
            train_run(config)
    train_run(config)
    assert same(state(whole.save_dir), state(config.save_dir))
    assert evaluate_run(Path(config.save_dir))["accuracy"] == result["accuracy"]

    first, after = load_checkpoint(Path(first_stage))["network"], state(config.save_dir)["network"]
    backbone = [key for key in first if key.startswith("backbone.")]
    assert all(torch.equal(first[key], after[key]) for key in backbone) == (method == "fsa")
    if method == "fsa":
        assert torch.equal(after["first_weight"], first["classifier.weight"])
        assert not torch.equal(after["classifier.weight"], first["classifier.weight"])
    else:
        assert not torch.equal(after["head.centroids"], torch.zeros(4, 64))


def test_a_first_stage_of_another_network_is_refused_before_the_images_are_read(
    first_stage: str, make_config: Any, tmp_path: Path
) -> None:
    content = load_checkpoint(Path(first_stage))
    for key, value, message in [
        ("model.name", "resnet50", "is of model.name resnet50, but this run is of resnet32: give"),
        (
            "method",
            "bbn",
            "is of a run of method bbn, whose network is another one; expected one of method plain",
        ),
    ]:
        section = content["config"]
        for name in key.split(".")[:-1]:
            section = section[name]
        before, section[key.split(".")[-1]] = section[key.split(".")[-1]], value
        torch.save(content, tmp_path / "other.pt")
        section[key.split(".")[-1]] = before
        for method in ("crt", "lws", "oltr", "fsa"):
            config = make_config(
                f"method={method}", f"init_from={tmp_path / 'other.pt'}", "data.source=/nowhere"
            )
            with pytest.raises(UserError, match=message):
                train_run(config)


def test_a_memory_larger_than_the_data_is_refused_before_images_are_opened(
    make_config: Any, tmp_path: Path
) -> None:
    """No file of the list is there, and each would be named if they were looked for first."""
    (tmp_path / "list.txt").write_text("".join(f"{image}.jpg {image % 3}\n" for image in range(9)))
    options = ["data.format=lists", f"data.source={tmp_path}", "mbj.memory_size=10"]
    options += [f"data.{split}={tmp_path / 'list.txt'}" for split in ("train", "evaluation")]
    with pytest.raises(UserError, match=r"^mbj.memory_size: 10, but there are 9 training images"):
        train_run(make_config("method=mbj", *options))
    with pytest.raises(UserError, match=r"0\.jpg"):
        train_run(make_config(*options))


def adjusted_likelihoods(config: Any) -> Any:
    """Mean likelihood of the true class in percent, by group, with the logits less log pi."""
    data = load_data(config.data, tell=False)
    network = Classification.build_network(config, len(data.class_counts), pretrained=False).eval()
    network.load_state_dict(load_checkpoint(Path(config.save_dir) / "checkpoint.pt")["network"])
    batches = data.plain_images(torch.arange(len(data.labels)), 64, torch.device("cpu"), training=False)
    with torch.inference_mode():
        logits = torch.cat([network(batch) for batch in batches]).double()
    prior = data.class_counts.double() / data.class_counts.sum()
    likelihood = (logits - prior.log()).softmax(1).gather(1, data.labels[:, None])[:, 0]
    few = data.class_counts[data.labels] < 20
    means = {"all": likelihood.mean(), "medium": likelihood[~few].mean(), "few": likelihood[few].mean()}
    expected = {name: pytest.approx(100 * mean.item(), rel=1e-4) for name, mean in means.items()}
    return {"all": expected["all"], "many": None, "medium": expected["medium"], "few": expected["few"]}


def exact_likelihood(config: Config) -> float:
    """Mean likelihood (%) where each normalisation has the mean of the batches' means and variances."""
    data = load_data(config.data, tell=False)
    task = classification(config, data, make_accelerator(config.training), resumed=True)
    task.network.load_state_dict(state(config.save_dir)["network"])
    norms = [module for module in task.network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    sums = {norm: [torch.zeros(norm.num_features), torch.zeros(norm.num_features), 0] for norm in norms}

    def note(norm: Any, inputs: Any) -> None:
        channels = inputs[0].transpose(0, 1).flatten(1)
        sums[norm][0] += channels.mean(1)
        sums[norm][1] += channels.var(1)
        sums[norm][2] += 1

    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    task.network.train()
    with torch.no_grad():
        for parts in task.batches(config.epochs + 1, 0):
            for part in parts:
                task.network(part.images)
    for hook in hooks:
        hook.remove()
    for norm, (mean, variance, count) in sums.items():
        norm.running_mean, norm.running_var = mean / count, variance / count
    return 100 * task.predict().gold_log_likelihood.exp().mean().item()


def test_a_run_leaves_what_reports_need(make_config: Any) -> None:
    config = make_config(
        "loss.name=eureka",
        "loss.likelihood_cap=0.9",  # the exact loss diverges on so few images
        "training.epochs=12",
        "training.milestones=[9]",
        "training.learning_rate=0.02",
        "training.analyse_training_images=true",
    )
    result = train_run(config)
    folder = Path(config.save_dir)
    assert result["accuracy"]["all"] > 50  # chance is 25
    assert result == json.loads((folder / "evaluation.json").read_text())
    assert result["class_counts"] == [24, 15, 9, 6]
    assert 0 < result["waiting_for_data"] < 1
    analysis = read_analysis(folder / "analysis.json")
    [system] = analysis["systems"].values()
    assert system["splits"]["test"]["all"]["count"] == 40
    assert system["splits"]["train"]["all"]["count"] == 54
    assert system["splits"]["test"]["all"]["accuracy"] == pytest.approx(result["accuracy"]["all"])
    assert [entry["epoch"] for entry in scores(folder) if "accuracy.all" in entry] == [10, 12]
    again = evaluate_run(folder)
    assert again["accuracy"] == result["accuracy"]
    assert again["calibration_error"] == result["calibration_error"]

    # of logits adjusted afterwards: the file of the run stays, and the result says it
    adjusted = evaluate_run(folder, logit_adjustment=1.0, predictions_path=folder / "adjusted.npz")
    assert adjusted["logit_adjustment"] == 1.0
    assert "logit_adjustment" not in again
    assert evaluate_run(folder, logit_adjustment=0.0)["accuracy"] == result["accuracy"]
    assert adjusted["likelihood"] == adjusted_likelihoods(config)
    for path, expected in ((folder, result), (folder / "adjusted.npz", adjusted)):
        saved = read_predictions(path)
        accuracy = group_accuracy(saved.predicted, saved.labels, saved.class_counts)
        assert accuracy.all == expected["accuracy"]["all"]
        assert accuracy.natural == pytest.approx(expected["accuracy"]["natural"])
        assert 100 * saved.likelihood.mean() == pytest.approx(expected["likelihood"]["all"], rel=1e-5)
        error = calibration_error(
            torch.from_numpy(saved.confidence), torch.from_numpy(saved.predicted == saved.labels)
        )
        assert error == pytest.approx(expected["calibration_error"]["all"], rel=1e-5)
    assert result == json.loads((folder / "evaluation.json").read_text())
    with pytest.raises(UserError, match=r"--logit-adjustment must be .*, got -1.0"):
        evaluate_run(folder, logit_adjustment=-1.0)
    with pytest.raises(UserError, match=r"was trained with logit adjustment.*--adjust-again"):
        evaluate_run(folder, ["loss.name=logit_adjusted"], logit_adjustment=1.0)
    evaluate_run(folder, ["loss.name=logit_adjusted"], logit_adjustment=1.0, adjust_again=True)

    exact = evaluate_run(folder, exact_batch_norm=True)
    assert exact["exact_batch_norm"] is True
    assert exact["likelihood"]["all"] == pytest.approx(exact_likelihood(config), rel=1e-4)
    assert exact["likelihood"] != again["likelihood"]
    with pytest.raises(UserError, match=r"trained with method=mbj: --exact-batch-norm is for method=plain"):
        evaluate_run(folder, ["method=mbj", "mbj.memory_size=9"], exact_batch_norm=True)

    written = (folder / "checkpoint.pt").stat().st_mtime_ns
    assert train_run(config) == result  # finished: not trained again
    assert (folder / "checkpoint.pt").stat().st_mtime_ns == written


def test_a_folder_of_another_config_is_left_alone(make_config: Any, tmp_path: Path) -> None:
    train_run(make_config("training.epochs=1"))
    with pytest.raises(
        UserError, match=r"run with other options: seed \(1 there, 2 now\); give another save_dir"
    ):
        train_run(make_config("training.epochs=1", "seed=2"))
    # These change nothing that is computed, but for rounding.
    for option in ("training.evaluate_every=3", "training.channels_last=false", "training.compile=true"):
        train_run(make_config("training.epochs=1", option))
    with pytest.raises(UserError, match=r"holds no config.yaml"):
        evaluate_run(tmp_path / "nowhere")


def test_a_checkpoint_to_keep_that_never_comes(make_config: Any) -> None:
    config = make_config("training.epochs=10", "training.schedule_scale=0.2", "training.keep_epochs=[1,2,8]")
    with pytest.raises(UserError, match=r"^training.keep_epochs: 8, expected 1 to 2, the epochs of this run"):
        train_run(config)
    assert not Path(config.save_dir).exists()


def test_a_checkpoint_of_other_images_is_refused(
    make_config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        with pytest.raises(Interrupted):
            train_run(config)
    other = datasets.load_from_disk(config.data.source)
    other["train"] = other["train"].select(reversed(range(96)))
    other.save_to_disk(str(tmp_path / "other"))
    with pytest.raises(UserError, match="the checkpoint is of other training images"):
        train_run(make_config(f"data.source={tmp_path / 'other'}"))


def test_a_loss_that_is_not_finite_stops_the_run(make_config: Any) -> None:
    config = make_config("training.learning_rate=1e30", "training.warmup_epochs=0", "training.epochs=3")
    with pytest.raises(UserError, match=r"the loss of epoch [123] is (nan|inf): give a smaller"):
        train_run(config)
    assert not (Path(config.save_dir) / "evaluation.json").exists()


def test_images_from_files(make_config: Any, tmp_path: Path) -> None:
    """The loop on a folder of images, with the augmentation of large images."""
    import numpy as np
    from PIL import Image

    for split, count in (("train", 9), ("val", 3)):
        for label, name in enumerate(("dark", "light")):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.random.default_rng(number).integers(0, 100, (12, 12, 3)) + 150 * label
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / split / name / f"{number}.png")
    config = make_config(
        "data.format=image_folder",
        f"data.source={tmp_path}",
        "data.image_size=8",
        "data.workers=0",
        "training.epochs=10",
        "training.batch_size=6",
        "training.learning_rate=0.02",
        "training.schedule=cosine",
    )
    assert train_run(config)["accuracy"]["all"] > 80

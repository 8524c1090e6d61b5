"""Configs: bases, overrides, and one clear line for what is not one."""

from __future__ import annotations

from pathlib import Path

import pytest

from eureka_nlg.errors import UserError
from eureka_nlg.vision.classification.config import Config, LossConfig
from eureka_nlg.vision.config_file import config_from_dict, described_options, flat, read_config, to_yaml

# nine lines of nine aliases: 9 ** 9 values
BOMB = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert read_config(Config, written(tmp_path / "a.yaml", "")) == Config()


def test_base_file_and_overrides_in_this_order(tmp_path: Path) -> None:
    written(tmp_path / "base.yaml", "seed: 5\ntraining: {epochs: 50, batch_size: 64, milestones: [30]}\n")
    path = written(
        tmp_path / "method" / "el.yaml",
        "base: ../base.yaml\nloss:\n  name: eureka\n  beta: 0.99\ntraining:\n  epochs: 60\n",
    )
    config = read_config(Config, path, ["loss.beta=0.9", "training.learning_rate=2e-1", "init_from="])
    assert (config.seed, config.training.epochs, config.training.batch_size) == (5, 60, 64)
    assert config.training.milestones == [30]
    assert config.loss == LossConfig(name="eureka", beta=0.9)
    assert config.training.learning_rate == 0.2
    assert config.init_from is None


def test_a_config_survives_the_way_through_yaml(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", "deferral: {plain_epochs: 9, loss: {name: ldam}}\ninit_from: x.pt\n")
    config = read_config(Config, path)
    assert read_config(Config, written(tmp_path / "b.yaml", to_yaml(config))) == config
    nested = {"seed": 3, "deferral": {"loss": {"name": "ldam"}}}
    assert config_from_dict(Config, nested, "here").deferral.loss.name == "ldam"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "training:\n  epoch: 3\n",
            r"a.yaml, line 2: unknown option training.epoch; did you mean training.epochs\?",
        ),
        ("zzzzzzzz: 3\n", "line 1: unknown option zzzzzzzz; `eureka vision options` lists all"),
        (
            "seed: 1\ntraining: 3\n",
            "line 2: training is a section, expected one of its keys, such as training.epochs",
        ),
        ("training:\n  epochs: many\n", "line 2: training.epochs: 'many', expected whole number"),
        ("training:\n  epochs: 1.5\n", "training.epochs: 1.5, expected whole number"),
        ("training:\n  epochs: true\n", "training.epochs: True, expected whole number"),
        ("training:\n  compile: 1\n", r"training.compile: 1, expected true \| false"),
        ("training:\n  milestones: 5\n", "training.milestones: 5, expected list of whole number"),
        ("training:\n  milestones: [a]\n", r"training.milestones: \['a'\], expected list of whole number"),
        ("loss:\n  name: eurika\n", r"loss.name: 'eurika', expected cross_entropy \| focal \| "),
        ("loss:\n  bonus_threshold: high\n", r"loss.bonus_threshold: 'high', expected number \| null"),
        (
            "seed: 1\nloss: {beta: 1.5}\n",
            r"a.yaml, line 2: loss.beta: 1.5, expected a number in \[0, 1\)",
        ),
        (
            "deferral:\n  loss:\n    likelihood_cap: 1\n",
            r"line 3: deferral.loss.likelihood_cap: 1.0, expected a number in \(0, 1\), or None",
        ),
        (
            "loss:\n  name: focal\n  gamma: 1\n  focal_gamma: 2\n",
            r"line 3: loss.gamma is the old name of loss.focal_gamma, which is given, too .*line 4",
        ),
        ("loss:\n  name:\n", r"loss.name: None, expected cross_entropy"),
        ("- 1\n", "expected a mapping of options"),
        ("a: [\n", "not valid YAML"),
        ("[" * 5000, "line 1: more than 10,000 values, or more than 100 inside one another"),
        ("a: [" + "1," * 20_000 + "]", "line 1: more than 10,000 values"),
        ("a: " + "x" * (1 << 20), "more than 1,048,576 bytes"),
        ("seed: !!bool x\n", "line 1: seed: not a value: 'x' is no bool"),
        ("seed: !!timestamp x\n", "line 1: seed: not a value: 'x' is no timestamp"),
        ("seed: !!int ''\n", "line 1: seed: not a value: '' is no int"),
        ("seed: !!float\n", "line 1: seed: not a value: '' is no float"),
        (
            f"seed: 1\nmodel:\n  name: [0x{'f' * 400}]\n",
            "line 3: a number of 402 digits, expected at most 300",
        ),
        ('save_dir: "\\ud800"\n', r"line 1: .ud800 is half of a character"),
        ("seed: !!python/name:os.system\n", "line 1: seed: not a value: could not determine a constructor"),
        ("seed: 1\nsave_dir: 2024-13-45\n", "line 2: save_dir: not a value: month must be in"),
        (f"seed: {'9' * 5000}\n", "line 1: a number of 5,000 digits, expected at most 300"),
        ("seed: {[a]: 1}\n", "line 1: expected the name of an option before the colon"),
        ("? {a: b}\n: 1\n", "line 1: expected the name of an option before the colon"),
        (
            "training: &a\n  more: *a\n",
            "line 1: more than 10,000 values, or more than 100 inside one another",
        ),
        ("training:\n  milestones: &a [*a]\n", "more than 100 inside one another"),
        (BOMB, "more than 10,000 values"),
        ("seed: 1\nseed: 2\n", "line 2: seed is given twice"),
        ("base: a.yaml\n", "is its own base"),
        ("base: none.yaml\n", "none.yaml: No such file"),
        ("training:\n  epochs: 0\n", "training.epochs: 0, expected 1 or more"),
        ("deferral:\n  plain_epochs: 200\n", "plain_epochs: 200 of 200 epochs, expected fewer$"),
        (
            "deferral: {plain_epochs: 160}\ntraining: {schedule_scale: 0.01}\n",
            r"plain_epochs: 2 of 2 epochs, expected fewer \(both are counted after training.sch.*=0.01",
        ),
        ("method: crt\n", "give init_from=CHECKPOINT"),
        ("method: oltr\n", "method oltr trains a second stage: give init_from=CHECKPOINT"),
        ("method: fsa\n", "method fsa trains a second stage: give init_from=CHECKPOINT"),
        (
            "method: oltr\ninit_from: a.pt\nloss:\n  name: ldam\n",
            "^loss.name: ldam with method oltr, expected a loss of any logits",
        ),
        (
            "method: oltr\ninit_from: a.pt\ndeferral:\n  plain_epochs: 1\n  loss:\n    name: ldam\n",
            "^deferral.loss.name: ldam with method oltr",
        ),
        (
            "method: oltr\ninit_from: a.pt\nmodel:\n  head: linear\n",
            "^model.head: linear with method oltr, which has a cosine classifier of its own",
        ),
        ("oltr:\n  scale: 0\n", "^oltr.scale: 0.0, expected more than 0"),
        ("oltr:\n  margin_weight: -1\n", "^oltr.margin_weight: -1.0, expected 0 or more"),
        (
            "method: fsa\ninit_from: a.pt\ntraining:\n  batch_size: 100\n",
            "^training.batch_size: 100 with method fsa, expected a multiple of 8",
        ),
        ("fsa:\n  tail_fraction: 1\n", "^fsa.tail_fraction: 1.0, expected a share between 0 and 1"),
        (
            "fsa:\n  specific_threshold: 0.3\n  generic_threshold: 0.4\n",
            "^fsa.generic_threshold, fsa.specific_threshold: 0.4, 0.3, expected 0 < generic_threshold <=",
        ),
        ("fsa:\n  augmented: 0\n", "^fsa.augmented: 0, expected 1 or more"),
        ("mbj:\n  memory_size: 0\n", "^mbj.memory_size: 0, expected 1 or more"),
        ("mbj:\n  power: -1\n", "^mbj.power: -1.0, expected 0 or more"),
        ("data:\n  imbalance_degree: 0.5\n", "data.imbalance_degree: 0.5, expected 1 or more"),
        ("seed: -1\n", "seed: -1, expected 0 to 4,294,967,295"),
        ("seed: 18446744073709551616\n", "seed: 18446744073709551616, expected 0 to"),
        ("data:\n  choice_seed: -1\n", "data.choice_seed: -1, expected 0 to"),
        ("data:\n  workers: 1000000\n", "data.workers: 1000000, expected 0 to 1,024"),
    ],
)
def test_errors_are_one_line_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_config(Config, written(tmp_path / "a.yaml", text))
    if "not valid YAML" not in message:  # PyYAML's own words are joined to one line by the command
        assert "\n" not in str(caught.value)


def test_overrides_are_checked_too(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", "")
    with pytest.raises(UserError, match="override 'seed': expected key=value"):
        read_config(Config, path, ["seed"])
    for text in ("2024-13-45", "9" * 5000, "[" * 5000):
        assert read_config(Config, path, [f"save_dir={text}"]).save_dir == text
    with pytest.raises(UserError, match="override 'sead=1': unknown option sead; did you mean seed"):
        read_config(Config, path, ["sead=1"])


def test_every_option_has_a_help_text_and_a_type() -> None:
    described = list(described_options(Config))
    assert {key for key, *_ in described} == set(flat(Config()))
    assert all(kind and len(help) > 5 for _, kind, _, help in described)


def test_scaled_schedule() -> None:
    config = Config()
    config.training.schedule_scale = 0.3
    config.deferral.plain_epochs = 160
    assert (config.epochs, config.plain_epochs) == (60, 48)
    assert config.phase(48) == (LossConfig(), "instance", None)
    config.sampling, config.loss.name = "class_balanced", "eureka"
    assert config.phase(48) == (LossConfig(), "instance", None)
    assert config.phase(49) == (LossConfig(name="eureka"), "class_balanced", None)


@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("focal", {"focal_gamma": 3.0}),
        ("halted_focal", {"focal_gamma": 3.0, "halting_threshold": 0.2}),
        ("eureka", {"bonus_gamma": 3.0, "bonus_threshold": 0.2}),
        ("cross_entropy", {}),
    ],
)
def test_old_names_of_options_are_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, new: dict[str, float]
) -> None:
    """As the configs and run folders of earlier versions have them: two losses shared a name."""
    old = "gamma: 3, threshold: 0.2, encouragement: count, normalization: mean_weight"
    text = f"loss: {{name: {name}, {old}}}\n"
    config = read_config(Config, written(tmp_path / "a.yaml", text))
    weights = {"encouragement_measure": "count", "encouragement_normalization": "mean_weight"}
    assert config.loss == LossConfig(name=name, **weights, **new)
    for option in ("gamma", "threshold", "encouragement", "normalization"):
        assert f"line 1: loss.{option} is" in caplog.text


def test_an_old_null_is_the_default(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", "deferral: {loss: {name: halted_focal, threshold: null}}\n")
    assert read_config(Config, path).deferral.loss == LossConfig(name="halted_focal")

"""Sweeps: what branches off what, what is not run again, and the sums."""

from __future__ import annotations

import multiprocessing
import statistics
from pathlib import Path

import pytest

from eureka_nlg.cli import vision
from eureka_nlg.errors import UserError
from eureka_nlg.vision.classification.sweep import plan, run_all, summary, summary_table

METHODS = {
    "ce": "",
    "el": "loss: {name: eureka, likelihood_cap: 0.9}\n",
    "el_deferred": "loss: {name: eureka}\ndeferral: {plain_epochs: 1}\n",
    "ldam_deferred": "loss: {name: ldam, class_balanced: true}\n"
    "deferral: {plain_epochs: 1, loss: {name: ldam}}\n",
}


@pytest.fixture
def configs(tmp_path: Path) -> dict[str, Path]:
    paths = {}
    for name, text in METHODS.items():
        paths[name] = tmp_path / f"{name}.yaml"
        paths[name].write_text(f"{text}save_dir: {tmp_path / 'runs' / name}\n")
    return paths


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings begin in a process that has imported what they need, which takes them most of their time.

    `eureka vision sweep` does not: a process that it did not start itself would go on when it is killed.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["eureka_nlg.vision.classification.sweep", "accelerate", "datasets", "torch._dynamo"]
    )
    monkeypatch.setattr(multiprocessing, "get_context", lambda method: context)


def without_folder(overrides: list[str]) -> list[str]:
    return [item for item in overrides if not item.startswith("save_dir=")]


def test_plan(configs: dict[str, Path], overrides: list[str], tmp_path: Path) -> None:
    runs = plan(list(configs.values()), [1, 2], without_folder(overrides))
    assert [(run.name, run.config.seed) for run in runs[:3]] == [("ce", 1), ("ce", 2), ("el", 1)]
    by_folder = {str(run.folder.relative_to(tmp_path / "runs")): run for run in runs}
    assert len(by_folder) == 8
    for seed in (1, 2):
        source = by_folder[f"ce/seed{seed}"]
        branch = by_folder[f"el_deferred/seed{seed}"]
        assert branch.source is source
        assert branch.config.init_from == str(source.folder / "epoch001.pt")
        assert source.config.training.keep_epochs == [1]
        # another head and another first loss: nothing to branch off
        assert by_folder[f"ldam_deferred/seed{seed}"].source is None
        assert by_folder[f"el/seed{seed}"].source is None


def test_second_stages_follow_their_first(
    forked: None, configs: dict[str, Path], overrides: list[str], tmp_path: Path
) -> None:
    stage = tmp_path / "crt.yaml"
    first = tmp_path / "runs" / "el_deferred" / "checkpoint.pt"
    stage.write_text(f"method: crt\ninit_from: {first}\nsave_dir: {tmp_path / 'runs' / 'crt'}\n")
    runs = plan([stage, configs["el_deferred"], configs["ce"]], [3], without_folder(overrides))
    assert [(run.name, run.depth) for run in runs] == [("crt", 2), ("el_deferred", 1), ("ce", 0)]
    assert runs[0].config.init_from == str(runs[1].folder / "checkpoint.pt")
    assert run_all(runs) == []
    assert all(run.finished for run in runs)


def test_second_stages_follow_their_first_into_another_folder(
    configs: dict[str, Path], overrides: list[str], tmp_path: Path
) -> None:
    stage = tmp_path / "crt.yaml"
    stage.write_text(f"method: crt\ninit_from: {tmp_path / 'runs' / 'ce' / 'checkpoint.pt'}\n")
    elsewhere = [*without_folder(overrides), f"save_dir={tmp_path / 'all'}"]
    crt, ce = plan([stage, configs["ce"]], [3], elsewhere)
    assert crt.source is ce
    assert crt.config.init_from == str(tmp_path / "all" / "ce" / "seed3" / "checkpoint.pt")


def test_two_configs_of_one_folder(configs: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="two runs of the sweep have the folder"):
        plan([configs["ce"], configs["ce"]], [1])


def test_sweep_runs_once_and_sums_up(
    forked: None,
    configs: dict[str, Path],
    overrides: list[str],
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    chosen = [configs["el_deferred"], configs["ce"]]
    runs = plan(chosen, [1, 2], without_folder(overrides))
    assert run_all(runs, jobs=2) == []
    written = {run.folder: (run.folder / "checkpoint.pt").stat().st_mtime_ns for run in runs}
    assert (runs[0].folder / "output.txt").read_text().count("epoch 2") == 1
    assert "epoch 1" not in (runs[0].folder / "output.txt").read_text()  # those were the source's

    runs = plan(chosen, [1, 2], without_folder(overrides))
    assert run_all(runs) == []
    assert written == {run.folder: (run.folder / "checkpoint.pt").stat().st_mtime_ns for run in runs}
    assert capfd.readouterr().out.count("eureka vision train ") == 4

    summed = summary(runs)
    for name in ("ce", "el_deferred"):
        row = summed[name]["all"]
        assert summed[name]["seeds"] == [1, 2]
        assert len(row["values"]) == 2
        assert row["mean"] == pytest.approx(sum(row["values"]) / 2)
        assert row["standard_deviation"] == pytest.approx(statistics.stdev(row["values"]))
        assert f"{row['mean']:.2f} ± {row['standard_deviation']:.2f}" in summary_table(summed)


def test_finished_runs_with_other_options_are_no_results(
    forked: None, configs: dict[str, Path], overrides: list[str]
) -> None:
    """As `eureka vision train` says it of one run; of several, before the first is trained."""
    options = without_folder(overrides)
    assert run_all(plan([configs["ce"]], [1], options)) == []
    runs = plan([configs["el"], configs["ce"]], [1], [*options, "training.learning_rate=0.2"])
    with pytest.raises(UserError, match=r"ce/seed1: holds a run with other options: training.learning_rate"):
        run_all(runs)
    assert not runs[0].folder.exists()
    assert run_all(plan([configs["ce"]], [1], [*options, "training.keep_epochs=[1]"])) == []


def test_a_run_does_not_wait_for_a_checkpoint_that_is_never_written(
    forked: None, configs: dict[str, Path], overrides: list[str]
) -> None:
    """The source was interrupted behind the branch, in a sweep or training without the deferred run."""
    options = without_folder(overrides)
    (source,) = plan([configs["ce"]], [1], options)
    assert run_all([source]) == []
    (source.folder / "evaluation.json").unlink()
    runs = plan([configs["ce"], configs["el_deferred"]], [1], options)
    assert [run.source for run in runs] == [None, None]
    (source.folder / "checkpoint.pt").unlink()  # stopped before its first one
    assert plan([configs["ce"], configs["el_deferred"]], [1], options)[1].source is not None


def test_a_run_that_fails_is_told(
    configs: dict[str, Path], overrides: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nothing").mkdir()
    options = [*without_folder(overrides), f"data.source={tmp_path / 'nothing'}"]
    runs = plan([configs["ce"], configs["el_deferred"]], [1], options)
    assert [run.name for run in run_all(runs)] == ["ce", "el_deferred"]
    said = f"{runs[1].folder}: cannot start, since there is no {runs[0].folder / 'epoch001.pt'}"
    assert said in capfd.readouterr().err
    row = summary(runs)["ce"]["all"]
    assert (row["mean"], row["values"]) == (None, [])


def test_sweep_arguments(configs: dict[str, Path]) -> None:
    import argparse

    parser = argparse.ArgumentParser()
    vision.add_arguments(parser)
    for arguments, message in [
        (["seeds=1"], "no config given"),
        ([str(configs["ce"]), "seeds=one"], "seeds=one: expected whole numbers"),
        ([str(configs["ce"]), "--jobs", "0"], "--jobs 0: expected 1 or more"),
    ]:
        with pytest.raises(UserError, match=message):
            vision.run(parser.parse_args(["sweep", *arguments]))

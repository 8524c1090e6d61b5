"""`eureka report` collects what there is, keeps what was expensive, and says what it lacks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
pytest.importorskip("sacrebleu")
pytest.importorskip("rouge_score")

import eureka_nlg.cli.report
import eureka_nlg.report.dialogue
import eureka_nlg.runs.fairseq_run
from eureka_nlg.errors import UserError
from eureka_nlg.metrics import score_replies
from eureka_nlg.metrics.text.generated import Generated

REFERENCES = ["a cat", "the dog barks", "a zebra", "the end"]


def save_checkpoint(path: Path, data: Path, seed: int) -> None:
    """What the report reads of a checkpoint of fairseq."""
    torch.save(
        {
            "cfg": {
                "common": {"seed": seed, "fp16": False},
                "checkpoint": {"best_checkpoint_metric": "ppl"},
                "criterion": {"_name": "eureka", "beta": 0.9},
                "task": {"_name": "translation", "data": str(data)},
            },
            "extra_state": {"train_iterator": {"epoch": 4, "iterations_in_epoch": 0}, "best": 31.5},
            "optimizer_history": [{"num_updates": 1200}],
            "model": {"weight": torch.zeros(2, 3)},
        },
        path,
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for side, lines in (("contexts", ["<partner> hello"] * 4), ("references", REFERENCES)):
        (folder / side).mkdir(parents=True)
        (folder / side / "test.txt").write_text("".join(f"{line}\n" for line in lines))
    (folder / "references" / "train.txt").write_text("the the the a a cat\n")
    (folder / "test.a-b.b.idx").write_bytes(b"indices")
    (folder / "manifest.json").write_text('{"note": "from the manifest"}')
    return folder


@pytest.fixture
def runs(tmp_path: Path, data: Path) -> list[str]:
    folders = [tmp_path / name for name in ("ce", "eureka")]
    for seed, folder in enumerate(folders):
        folder.mkdir()
        save_checkpoint(folder / "checkpoint_best.pt", data, seed)
    log = "2026-01-01 10:00:00 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 6.0 | ppl 64\n"
    (folders[0] / "fairseq.log").write_text(log)
    return [str(folder) for folder in folders]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Decoding without a model; the checkpoints that were decoded are noted."""
    calls: list[str] = []

    def generate(run: Any, split: str, options: list[str]) -> Generated:
        calls.append(f"{run.checkpoint.parent.name} {split} {' '.join(options[:2])}")
        replies = [f"the cat {run.checkpoint.parent.name} {index}" for index in range(4)]
        return Generated(list(range(4)), ["hello"] * 4, replies, ["a <<unk>>"] * 4)

    monkeypatch.setattr(eureka_nlg.runs.fairseq_run, "generate", generate)
    return calls


Eureka = Callable[..., int]


def test_a_page_from_two_runs(
    eureka_report: Eureka,
    runs: list[str],
    decoded: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "report.html"
    assert eureka_report(*runs, "--no-analysis", "--out", out, "--figures", tmp_path / "figures") == 0
    page = out.read_text(encoding="utf-8")
    for text in ("checkpoint_best.pt, epoch 3, 1,200 updates", "ppl 31.5", "from the manifest"):
        assert text in page
    start = page.index(">", page.index('id="data"')) + 1
    shown = json.loads(page[start : page.index("</script>", start)])
    assert shown["names"] == ["ce", "eureka"]
    assert shown["rows"][1] == ["<partner> hello", "the dog barks", "the cat ce 1", "the cat eureka 1"]
    # thirds of six tokens: the (3), a (2), cat (1)
    assert shown["rare"] == {"cat": 1}
    assert {"dog", "zebra"} <= set(shown["unseen"])
    figures = {path.name for path in (tmp_path / "figures").iterdir()}
    assert figures == {f"{name}.{kind}" for name in ("scores", "training_curves") for kind in ("svg", "png")}
    said = capsys.readouterr()
    assert "4 contexts, ce, eureka" in said.out
    work = ["ce: decoding the replies of the split test", "eureka: decoding the replies of the split test"]
    assert said.err.splitlines()[:2] == [f"eureka report: {each} ..." for each in work]
    assert "No training curves of eureka" in said.err
    assert "--no-analysis" in page


def test_where_no_spaces_separate_words_characters_are_scored(
    eureka_report: Eureka, runs: list[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `eureka evaluate --unit character` does, also beside the training words."""
    references, replies = ["我喜欢喝茶。", "她看米饭。"], ["我喜欢喝茶!", "她看米饭!"]
    (data / "references" / "test.txt").write_text("".join(f"{line}\n" for line in references))
    (data / "references" / "train.txt").write_text("我喜欢喝茶。\n")
    (data / "contexts" / "test.txt").write_text("<partner> 你好\n" * 2)

    def generate(run: Any, split: str, options: list[str]) -> Generated:
        return Generated([0, 1], ["你好"] * 2, replies, ["a <<unk>>"] * 2)

    monkeypatch.setattr(eureka_nlg.runs.fairseq_run, "generate", generate)
    report = eureka_nlg.report.dialogue.DialogueReport.of([runs[0]], analysis=False).collect()
    found = {metric.label: metric.scores for metric in report.scores.metrics}
    expected = score_replies(replies, references, metrics=["macro_f", "micro_f"], unit="character").scores
    for label, key in (("macro F (%)", "macro_f"), ("micro F (%)", "micro_f")):
        (score,) = found[label].values()
        assert score.value == pytest.approx(expected[key])
    assert report.references == ["我 喜 欢 喝 茶 。", "她 看 米 饭 。"]
    assert report.systems[0].facts["words"] == "characters, where a script has no spaces"
    assert report.rare is not None


def test_replies_are_kept_for_their_checkpoint(
    eureka_report: Eureka,
    runs: list[str],
    data: Path,
    decoded: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(eureka_nlg.cli.report, "write_page", lambda *_: None)  # drawing is not the point here
    common = ("--no-analysis", "--out", tmp_path / "report.html")
    eureka_report(*runs, *common)
    assert decoded == ["ce test --beam 1", "eureka test --beam 1"]
    eureka_report(*runs, *common)
    assert len(decoded) == 2
    save_checkpoint(tmp_path / "ce" / "checkpoint_best.pt", data, seed=7)  # trained on
    eureka_report(*runs, *common)
    assert decoded[2:] == ["ce test --beam 1"]
    (data / "test.a-b.b.idx").write_bytes(b"other indices")
    eureka_report(*runs, *common)
    assert len(decoded) == 5
    eureka_report(*runs, *common, "--beam", 5)
    assert decoded[5:] == ["ce test --beam 5", "eureka test --beam 5"]


def group(accuracy: float) -> dict[str, Any]:
    numbers = {"accuracy": accuracy, "mean_likelihood": 0.2, "perplexity": 9.5, "share_above_half": 0.0}
    return {"count": 4, **numbers, "histogram": [4, *[0] * 19]}


def analysis_of(**accuracy: float) -> dict[str, Any]:
    """A document of `eureka analyse` for these systems."""
    return {
        "version": 1,
        "groups": {"rule": "by hand", "names": ["head"], "classes": {"head": 1}},
        "systems": {
            name: {"splits": {"test": {"head": group(value), "all": group(value)}}}
            for name, value in accuracy.items()
        },
        "encouragement": {},
    }


def test_likelihoods_are_computed_once_for_a_checkpoint(
    eureka_report: Eureka,
    runs: list[str],
    decoded: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    added = []

    class Analysis:
        def __init__(self, bands: Any, splits: list[str], train_sample: int) -> None:
            assert splits == ["test", "train"]

        def add(self, name: str, model: Any, weights: Any) -> None:
            assert model == "the model"
            added.append((name, weights[0].parent.name))

        def document(self) -> dict[str, Any]:
            return analysis_of(model=10.0 + len(added))

    monkeypatch.setattr(eureka_nlg.report.dialogue, "DialogueAnalysis", Analysis)
    monkeypatch.setattr(eureka_nlg.runs.fairseq_run.FairseqRun, "scoring_model", lambda run: "the model")
    command = (*runs, "--names", "CE", "EL", "--out", tmp_path / "report.html")
    with monkeypatch.context() as patch:
        patch.setattr(eureka_nlg.cli.report, "write_page", lambda *_: None)  # the second page is looked at
        assert eureka_report(*command) == 0
    assert eureka_report(*command) == 0
    assert added == [("model", "ce"), ("model", "eureka")]
    numbers = (tmp_path / "report.html").read_text().partition("Likelihood of the right word, given")[2]
    cells = re.sub(r"<[^>]+>", " ", numbers.partition("</tbody>")[0]).split()
    for name, accuracy in (("CE", "11.00"), ("EL", "12.00")):
        assert cells[cells.index(name) : cells.index(name) + 5] == [name, "test", "head", "4", accuracy]


def test_an_analysis_is_checked(
    eureka_report: Eureka,
    runs: list[str],
    decoded: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = analysis_of(ce=25.0, eureka=30.0)
    path = tmp_path / "analysis.json"
    path.write_text(json.dumps(document))
    common = ("--analysis", path, "--out", tmp_path / "report.html")
    assert eureka_report(*runs, *common) == 0
    page = (tmp_path / "report.html").read_text()
    assert "9.50" in page
    assert "Groups: by hand." in page
    assert eureka_report(*runs, *common, "--names", "CE", "Eureka") == 2
    assert "holds ce, eureka but not CE" in capsys.readouterr().err
    document["systems"]["ce"]["sha256"] = "0" * 64
    path.write_text(json.dumps(document))
    assert eureka_report(*runs, *common) == 2
    assert "of another checkpoint of ce" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--names", "one"), "names are one: expected one for each run, all different"),
        (("--names", "same", "same"), "names are same, same: expected one for each run"),
        (("--out", "."), "--out .: is a folder, expected a file name"),
        (("--out", "no/such/folder/report.html"), "there is no folder no/such/folder, make it first"),
        (("--split", "nowhere"), "split nowhere: not in the data folder"),
    ],
)
def test_bad_input_is_said_before_the_work(
    eureka_report: Eureka,
    runs: list[str],
    decoded: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    says: str,
) -> None:
    assert eureka_report(*runs, "--no-analysis", "--out", tmp_path / "report.html", *arguments) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert decoded == []
    assert not (tmp_path / "report.html").exists()


def test_runs_on_different_data_are_refused(
    eureka_report: Eureka,
    runs: list[str],
    data: Path,
    decoded: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = tmp_path / "other"
    (other / "references").mkdir(parents=True)
    (other / "references" / "test.txt").write_text("b\n" * 4)
    (other / "test.a-b.b.idx").touch()
    save_checkpoint(tmp_path / "eureka" / "checkpoint_best.pt", other, seed=1)
    assert eureka_report(*runs, "--no-analysis", "--out", tmp_path / "report.html") == 2
    assert "its test references differ from those of" in capsys.readouterr().err


def test_any_fairseq_data_will_do(
    eureka_report: Eureka,
    runs: list[str],
    data: Path,
    decoded: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cannot(*_: Any) -> None:
        raise UserError("there is nothing to count")

    monkeypatch.setattr(eureka_nlg.report.dialogue, "DialogueAnalysis", cannot)
    for path in (*data.rglob("*.txt"), data / "manifest.json"):
        path.unlink()
    assert eureka_report(*runs, "--out", tmp_path / "report.html") == 0
    page = (tmp_path / "report.html").read_text()
    assert '"a \\u003c\\u003cunk\\u003e\\u003e"' in page  # the references that fairseq-generate wrote
    said = capsys.readouterr().err
    for text in (
        "Rare words are not marked",
        "Cannot be analysed: there is nothing to count.",
        "has no manifest",
    ):
        assert text in said


@pytest.fixture
def eureka_report() -> Eureka:
    """`eureka report` in this process; the status that it would exit with."""
    from eureka_nlg.cli import main

    def run(*arguments: object) -> int:
        return main.main(["report", *map(str, arguments)])

    return run

"""The collection of the runs behind docs/results/convai2.md, on two made-up losses."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eureka_nlg.errors import UserError

pytest.importorskip("matplotlib")

COLLECT = ("tables.py", "draw_results.py", "adjusted.py")
ROOT = Path(__file__).resolve().parents[2]
SCRIPTS, RESULTS = ROOT / "scripts" / "convai2", ROOT / "docs" / "results"
RESAMPLED = {"low": -0.5, "high": 0.7, "p_resampling": 0.2}


@pytest.fixture
def script(load_script: Any) -> Any:
    return load_script(SCRIPTS / "tables.py")


@pytest.fixture
def figures(load_script: Any) -> Any:
    return load_script(SCRIPTS / "figures.py")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Cross-entropy with two seeds and EL with one, scored greedily."""
    metrics = ("macro_f", "micro_f", "diversity_4", "macro_f_head", "macro_f_body", "macro_f_tail")
    for seed, names in ((1, ("ce_longer", "el_longer")), (2, ("ce_longer",))):
        document: dict[str, Any] = {"significance": {"differences": {metric: {} for metric in metrics}}}
        for name in names:
            folder = tmp_path / name / f"seed{seed}"
            folder.mkdir(parents=True)
            (folder / "replies.test.beam1.txt").write_text("i run .\ni run .\n<unk>\n")
            (folder / "replies.test.beam1.perplexity").write_text("40.5\n")
            lines = [
                f"2026-01-31 12:00:0{epoch} | INFO | valid | epoch 00{epoch} | valid on 'valid' subset | "
                f"ppl {50 - epoch} | macro_f {0.1 * epoch} | diversity_4 {epoch + seed}"
                for epoch in (1, 2)
            ]
            (folder / "fairseq.log").write_text("\n".join(lines) + "\n")
            document[name] = {"scores": dict.fromkeys(metrics, float(seed))}
        if "el_longer" in names:
            for p_value, metric in enumerate(metrics):
                found = {**RESAMPLED, "value": 0.1, "p_randomisation": 0.01 + p_value}
                document["significance"]["differences"][metric]["el_longer"] = found
        (tmp_path / f"scores.ce_longer.beam1.seed{seed}.json").write_text(json.dumps(document))
    return tmp_path


def test_tables_json_and_figures(
    script: Any,
    load_script: Any,
    runs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    collected = runs / "results" / "runs.json"
    monkeypatch.setattr(sys, "argv", ["tables.py", str(runs), "--json", str(collected)])
    script.main()
    printed = capsys.readouterr().out
    # macro F 1 and 2; three replies, two of them different, with four word types
    row = next(line for line in printed.splitlines() if line.startswith("| CE |"))
    assert row.startswith("| CE | 2 | 1.50 ± 0.71 | 1.50 ± 0.71 | 1.50 ± 0.71 |")
    assert row.endswith("| 2.00 ± 0.00 | 4.00 ± 0.00 | 33.3 ± 0.0 | 40.5 ± 0.0 |")
    assert "| EL | 1 | 1.00 |" in printed
    # only the first p-value is below 5 %
    assert "| EL | 1 | **+0.10 [-0.50, +0.70] p 0.010** | +0.10 [-0.50, +0.70] p 1.010 |" in printed
    found = json.loads(collected.read_text())
    assert [run["seed"] for run in found["ce_longer"]] == [1, 2]
    assert found["ce_longer"][1]["curves"]["diversity_4"]["valid"] == [[1, 3.0], [2, 4.0]]
    monkeypatch.setattr(sys, "argv", ["tables.py", str(collected)])
    script.main()
    assert capsys.readouterr().out == printed
    monkeypatch.setattr(sys, "argv", ["", "convai2", str(collected), "--out", str(runs / "results")])
    load_script(SCRIPTS.parent / "draw_results.py").main()
    for name in ("diversity_against_perplexity", "f_by_band", "lead_by_epoch", "training_curves"):
        assert (runs / "results" / f"{name}.png").stat().st_size > 5000


def test_the_recipe_is_a_shell_script_that_knows_every_config() -> None:
    recipe = SCRIPTS / "run.sh"
    assert subprocess.run(["sh", "-n", recipe], check=False).returncode == 0
    result = subprocess.run(["sh", recipe], capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "the folder with the corpus" in result.stderr


def test_the_recipe_of_dailydialog_needs_a_corpus() -> None:
    recipe = ROOT / "scripts" / "dailydialog" / "run.sh"
    assert subprocess.run(["sh", "-n", recipe], check=False).returncode == 0
    result = subprocess.run(["sh", recipe], capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "the folder with the corpus" in result.stderr
    losses = {path.stem for path in (ROOT / "configs/dialogue/dailydialog").glob("*.yaml")} - {"base"}
    assert losses <= set(re.findall(r"\w+", recipe.read_text()))


@pytest.fixture
def page() -> list[str]:
    return (RESULTS / "convai2.md").read_text(encoding="utf-8").splitlines()


def test_the_results_page_has_the_tables(
    script: Any, page: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tables.py", str(RESULTS / "convai2" / "runs.json")])
    script.main()
    printed = set(capsys.readouterr().out.splitlines())
    labels = "|".join(map(re.escape, script.LABELS.values()))
    adjusted, after = page.index("## Logit adjustment after training"), page.index("## Replies")
    rows = {line for line in page[:adjusted] + page[after:] if re.match(rf"\| ({labels}) \| \d \|", line)}
    assert len(rows) > 60
    assert rows <= printed


def test_the_results_page_has_the_ninth_epoch(script: Any, page: list[str]) -> None:
    runs = json.loads((RESULTS / "convai2" / "runs.json").read_text())
    start = page.index("| loss | ppl | macro F | micro F | 4-gram diversity | reward, nats a token |")
    names = {label.removesuffix(", 9 epochs"): name for name, label in script.LABELS.items()}
    names |= {label.removesuffix(", 9 epochs"): name for name, label in script.NINE_EPOCHS.items()}
    rows = [line for line in page[start + 2 : start + 20] if line]
    assert len(rows) == 17
    for row in rows:
        label, *cells = (cell.strip() for cell in row.strip("|").split("|"))
        curves = runs[names[label]][0]["curves"]
        ppl, macro, micro, diversity, reward = (
            dict(curves[key]["valid"]).get(9, 0.0) if key in curves else 0.0
            for key in ("ppl", "macro_f", "micro_f", "diversity_4", "reward")
        )
        expected = [f"{ppl:,.1f}", f"{macro:.2f}", f"{micro:.1f}", f"{diversity:.1f}"]
        assert cells == [*expected, f"{reward:.3f}" if reward else ""], label


def test_the_results_page_has_the_six_pairs(page: list[str]) -> None:
    start = page.index("| decoding, metric | differences | mean, 95 % interval | p | of CE |")
    keys = {
        "4-gram diversity": "diversity_4",
        "macro F": "macro_f",
        "macro F of the rarest third": "macro_f_tail",
        "micro F": "micro_f",
        "word types in the replies": "word_types",
        "perplexity": "ppl",
    }
    for row in page[start + 2 : start + 11]:
        label, differences, mean, _, relative = (cell.strip() for cell in row.strip("|").split("|"))
        decoding = "beam5" if label.startswith("beam 5") else "beam1"
        key = keys[label.partition(", ")[2] or label]
        of_ce, found = [], []
        for name in ("runs_epyc", "runs"):
            runs = json.loads((RESULTS / "convai2" / f"{name}.json").read_text())
            ce, el = (
                {run["seed"]: run["scores"][decoding][key] for run in runs[loss]}
                for loss in ("ce_longer", "el_longer")
            )
            of_ce += ce.values()
            found += [el[seed] - ce[seed] for seed in sorted(ce)]
        digits = 0 if key == "word_types" else 2
        assert differences == ", ".join(f"{value:+.{digits}f}" for value in found)
        assert float(mean.split()[0].strip("*")) == pytest.approx(statistics.fmean(found), abs=0.006)
        assert relative == f"{100 * sum(found) / sum(of_ce):.1f} %"


def test_differences_over_seeds_are_paired(script: Any) -> None:
    runs = {
        "el_longer": [
            {"against_ce": {"beam1": {metric: {"value": value} for metric in script.TESTED}}}
            for value in (0.1, 0.3)
        ],
        "fl1_longer": [{"against_ce": {"beam1": {}}}],
    }
    # mean 0.2, standard error 0.1, t = 2 with one degree of freedom: p = 1 - 2 atan(2) / pi; 12.706 tabulated
    (line,) = script.over_seeds(runs, "beam1").splitlines()[2:]
    assert line.startswith(f"| EL | 2 | +0.20 [-1.07, +1.47] p {1 - 2 * math.atan(2) / math.pi:.3f} |")


def test_leads_on_validation_are_averaged_over_the_later_epochs(script: Any) -> None:
    def curves(*values: float) -> dict[str, Any]:
        points = list(enumerate(values, 8))  # epochs 8 to 11
        return {key: {"valid": [list(point) for point in points]} for key in (*script.TESTED, "ppl")}

    runs = {
        "ce_longer": [
            {"seed": 1, "curves": curves(9, 9, 1, 2)},
            {"seed": 2, "curves": curves(9, 9, 3, 3)},
        ],
        "el_longer": [
            {"seed": 1, "curves": curves(0, 0, 1.1, 2.1)},
            {"seed": 2, "curves": curves(0, 0, 3.2, 3.4)},
        ],
    }
    # 0.1 and 0.3, as above
    (line,) = script.validation_leads(runs).splitlines()[2:]
    assert line.startswith("| EL | 2 | +0.20 [-1.07, +1.47] p 0.295 |")
    assert line.count("+0.20") == 4


def test_lead_is_that_over_the_same_seed(figures: Any) -> None:
    def curves(values: dict[int, float]) -> dict[str, Any]:
        return {
            key: {"valid": [list(point) for point in values.items()]} for key in ("macro_f", "diversity_4")
        }

    runs = {
        "ce_longer": [
            {"seed": 1, "curves": curves({1: 5.0, 2: 6.0, 3: 7.0})},
            {"seed": 2, "curves": curves({1: 1.0, 2: 1.0, 3: 1.0})},
        ],
        "el_longer": [
            {"seed": 1, "curves": curves({2: 6.5, 3: 9.0})},
            {"seed": 2, "curves": curves({2: 1.5, 3: 1.0})},
        ],
    }
    for axes in figures.lead_by_epoch(runs).axes:
        mean = axes.lines[-2]
        assert list(mean.get_xdata()) == [2, 3]
        assert list(mean.get_ydata()) == [0.5, 1.0]


def test_bands_are_relative_to_cross_entropy(figures: Any) -> None:
    def run(*f: float) -> dict[str, Any]:
        scores = {f"macro_f_{band}": value for band, value in zip(("head", "body", "tail"), f, strict=True)}
        return {"seed": 1, "scores": {"beam1": scores}}

    runs = {"ce_longer": [run(20, 5, 0.4)], "el_longer": [run(19, 5, 0.5)]}
    (axes,) = figures.f_by_band(runs).axes
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([-5, 0, 25])


STAND_IN = """#!/bin/sh
# Notes what it is called with, and leaves the files of the real command.
case $1 in
prepare) mkdir -p "$4" ;;
train)
    shift
    for word; do case $word in save_dir=*) folder=${word#save_dir=} ;; esac; done
    run=${folder#"$RUNS"/}
    [ ! -f "$folder/checkpoint_last.pt" ] || goes_on=" after $(cat "$folder/checkpoint_last.pt")"
    case $* in *--branch-from*) eval "branch=\\${$#}" && goes_on=" off ${branch#"$RUNS"/}" ;; esac
    echo "begin $run${goes_on-}" >>"$CALLS"
    [ "$run" != "${FAILS-}" ] || { echo "out of memory" && exit 1; }
    echo "$run" >"$folder/checkpoint_last.pt" && touch "$folder/fairseq.log"
    echo "end $run" >>"$CALLS" ;;
generate)
    while [ "$1" != --out ]; do shift; done
    echo "replies ${2#"$RUNS"/}" >>"$CALLS" && touch "$2" ;;
*) echo "$1" >>"$CALLS" ;;
esac
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Any:
    """Run the recipe, with a stand-in for eureka and for Python, and return how it ended and the calls."""
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "eureka").write_text(STAND_IN)
    (commands / "python").write_text('#!/bin/sh\necho "${1##*/}" >>"$CALLS"\n')
    for command in commands.iterdir():
        command.chmod(0o755)
    calls = tmp_path / "calls"

    def run(fails: str = "") -> tuple[subprocess.CompletedProcess[str], list[str]]:
        calls.write_text("")
        result = subprocess.run(
            ["sh", SCRIPTS / "run.sh", tmp_path, "3"],
            env=os.environ
            | {
                "VENV": str(tmp_path),
                "DATA": str(tmp_path / "data"),
                "RUNS": str(tmp_path / "runs"),
                "CALLS": str(calls),
                "FAILS": fails,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return result, calls.read_text().splitlines()

    return run


@pytest.mark.skipif(shutil.which("flock") is None, reason="the recipe locks a run with flock")
def test_the_recipe_trains_each_run_once_after_what_it_goes_on_from(recipe: Any, script: Any) -> None:
    result, calls = recipe()
    assert result.returncode == 0
    seeds = {name: (1, 2, 3) if name in script.ROWS | script.NINE_EPOCHS else (1,) for name in script.LABELS}
    runs = [f"{name}/seed{seed}" for name in seeds for seed in seeds[name]]
    assert sorted(call.split()[1] for call in calls if call.startswith("begin")) == sorted(runs)
    assert sorted(call for call in calls if call.startswith("replies")) == sorted(
        f"replies {run}/replies.test.{decoding}.txt"
        for run in runs
        for decoding in ("beam1", "beam5", *(["sample"] if "_longer" in run else []))
    )
    begun = {call.split()[1]: (place, call) for place, call in enumerate(calls) if call.startswith("begin")}
    for run, (place, call) in begun.items():
        name, seed = run.split("/")
        if name.endswith("_longer"):
            parent = f"{name.removesuffix('_longer')}/{seed}"
            assert call == f"begin {run} after {parent}"
        elif name in {"ce", "ce_no_residual", "fl1_from_start", "own_replies_from_start"}:
            assert call == f"begin {run}"
            continue
        else:
            parent = f"ce/{seed}"
            assert call == f"begin {run} off {parent}"
        assert calls.index(f"end {parent}") < place
    assert calls[-4:] == ["analyse", *COLLECT]


@pytest.mark.skipif(shutil.which("flock") is None, reason="the recipe locks a run with flock")
def test_the_recipe_goes_on_after_a_training_that_failed(recipe: Any) -> None:
    result, calls = recipe(fails="cb/seed1")
    assert result.returncode != 0
    assert "out of memory" in result.stderr
    assert "evaluate" not in calls
    result, calls = recipe()
    assert result.returncode == 0
    assert [call for call in calls if call.split()[0] not in {"evaluate", "analyse", *COLLECT}] == [
        "begin cb/seed1 off ce/seed1",
        "end cb/seed1",
        "replies cb/seed1/replies.test.beam1.txt",
        "replies cb/seed1/replies.test.beam5.txt",
    ]


def test_every_config_has_a_name_in_the_tables(script: Any) -> None:
    folder = SCRIPTS.parents[1] / "configs" / "dialogue" / "convai2_small"
    assert {path.stem for path in folder.glob("*.yaml")} == {"base", *script.LABELS}


@pytest.fixture
def adjusted(script: Any, load_script: Any) -> Any:
    return load_script(SCRIPTS / "adjusted.py")  # which imports tables.py by its name


def test_adjusted_runs(
    adjusted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cross-entropy and EL whose replies are there, and a run that is still in training."""
    data, runs = tmp_path / "data", tmp_path / "runs"
    (data / "references").mkdir(parents=True)
    for split in ("valid", "test"):
        (data / "references" / f"{split}.txt").write_text("i run .\nyou swim .\n")
    replies = {0.0: "i run .\ni run .\n", 0.2: "i run .\nyou <unk> !\n"}
    for name in ("ce", "el"):
        folder = runs / name / "seed1"
        folder.mkdir(parents=True)
        (folder / "trained").touch()
        for beam in adjusted.BEAMS:
            for tau in adjusted.TAUS:
                (folder / f"adjusted.valid.beam{beam}.tau{tau:g}.txt").write_text(replies[0.0])
            for tau, text in replies.items():
                (folder / f"adjusted.test.beam{beam}.tau{tau:g}.txt").write_text(text)
    (runs / "fl2" / "seed1").mkdir(parents=True)
    collected = tmp_path / "adjusted.json"
    monkeypatch.setattr(sys, "argv", ["adjusted.py", str(runs), str(data), "--json", str(collected)])
    adjusted.main()
    printed = capsys.readouterr().out
    # micro F by hand: 4 of 6 words both times, then 3 + 1; two word types more, one reply of two with <unk>
    test = printed.partition("greedy, test")[2].partition("beam 5")[0]
    assert re.search(
        r"^\| CE \| 0 \| 1 \| .*\| 66.7 \| .*\| 1.00 \| 3.00 \| 0.00 \| 3.00 \|$", test, re.MULTILINE
    )
    assert re.search(
        r"^\| EL \| 0.2 \| 1 \| .*\| 66.7 \| .*\| 2.00 \| 6.00 \| 50.0 \| 3.00 \|$", test, re.MULTILINE
    )
    assert re.search(r"^\| EL \| 0.2 \| 1 \| .* p ", test, re.MULTILINE)
    assert "FL" not in printed
    assert "Against cross-entropy:" in printed
    # of one seed the combined p is its own
    p = re.search(r"^\| EL \| 0.2 \| 1 \| .* p (\S+) \|$", test, re.MULTILINE)
    combined = re.search(r"^\| EL \| 0.2 \| 1 \| .* % p (\S+) \|$", test, re.MULTILINE)
    assert p
    assert combined
    assert combined[1] == p[1]
    assert "Against focal loss:" not in printed
    # EL with tau has the replies that cross-entropy has with it
    against = test.partition("Against cross-entropy with τ = 0.2, all seeds:")[2]
    assert "| EL | 0.2 | 1 | +0.0 % p 1.000 | +0.0 % p 1.000 | " in against
    assert "| CE | 0.2 |" not in against
    document = json.loads(collected.read_text())
    for one in document["test"]:
        one.pop("against_ce_adjusted", None)  # as in a file of before
    untested = adjusted.together(document["test"], "1", "ce_adjusted")
    assert "| EL | 0.2 | 1 | +0.0 % | +0.0 % | " in untested
    monkeypatch.setattr(sys, "argv", ["adjusted.py", str(collected)])
    adjusted.main()
    assert capsys.readouterr().out == printed
    assert len(json.loads(collected.read_text())["valid"]) == 2 * len(adjusted.TAUS)
    monkeypatch.setattr(sys, "argv", ["adjusted.py", str(runs)])
    with pytest.raises(UserError, match="give the data folder"):
        adjusted.main()


def test_tests_of_two_seeds(adjusted: Any) -> None:
    """Stouffer's z by hand: 1.96 twice is 2.77 together, and 1.96 against -1.96 is none."""
    for signs, wanted in (((1, 1), "+50.0 % p 0.006"), ((1, -1), "+50.0 % p 1.000")):
        results = []
        for seed, sign in enumerate(signs):
            test = {"value": sign, "p_randomisation": 0.05}
            base = {"beam": "1", "seed": seed, "scores": dict.fromkeys(adjusted.TESTED, 2.0)}
            results.append({**base, "name": "ce", "tau": 0.0})
            against = {"against_ce": dict.fromkeys(adjusted.TESTED, test)}
            scores = dict.fromkeys(adjusted.TESTED, 3.0)
            results.append({**base, "name": "el", "tau": 0.2, "scores": scores, **against})
        (line,) = adjusted.together(results, "1", "ce").splitlines()[2:]
        assert line.replace("**", "") == f"| EL | 0.2 | 2 | {' | '.join([wanted] * 3)} |"


@pytest.mark.parametrize(
    ("corpus", "section"),
    [("convai2", "## Logit adjustment after training"), ("dailydialog", "## Greedy")],
)
def test_the_results_pages_have_the_adjusted_tables(
    adjusted: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    corpus: str,
    section: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["adjusted.py", str(RESULTS / corpus / "adjusted.json")])
    adjusted.main()
    printed = set(capsys.readouterr().out.splitlines())
    page = (RESULTS / f"{corpus}.md").read_text(encoding="utf-8").splitlines()
    start = page.index(section)
    rows = {line for line in page[start:] if re.match(r"\| (CE|FL, gamma 2|EL|EL x 16, cap 0.9) \| 0", line)}
    assert len(rows) > 20
    assert rows <= printed

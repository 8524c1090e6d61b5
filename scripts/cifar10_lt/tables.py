"""Collect the runs of scripts/cifar10_lt/run.sh: one JSON, the table of the results page, two figures.

python scripts/cifar10_lt/tables.py runs/cifar10_lt --out docs/results/cifar10_lt
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from eureka_nlg.files import write_json
from eureka_nlg.report.panels import spread
from eureka_nlg.report.theme import DASHES, INK, MARKERS, MUTED, PALETTE, themed, write_figure
from eureka_nlg.vision.training.log import read_log

# Folder -> what the paper calls it, and its accuracy there (Tables 8 and 10, section 5.3).
ROWS: dict[str, tuple[str, float | None]] = {
    "ce": ("CE", 71.4),
    "fl": ("FL", 71.3),
    "hfl": ("HFL", 71.4),
    "hfl_half": ("HFL(0.5)", 71.8),
    "simplified_el_clamped": ("simplified EL, clamp", 71.8),
    "power_bonus": ("power bonus 4", None),
    "el": ("EL", None),
    "el_clamped": ("EL, clamp", None),
    "el_capped": ("EL, cap 0.9", None),
    "el_mean_weight": ("EL, mean weight one", None),
    "cb_deferred": ("CB†", 76.34),
    "rs_deferred": ("RS†", 75.61),
    "ldam_cb_deferred": ("LDAM + CB†", 77.03),
    "el_deferred": ("EL†", 76.1),
    "el_cb_deferred": ("EL + CB†", 77.95),
    "el_deferred_clamped": ("EL†, clamp", 76.1),
    "el_cb_deferred_clamped": ("EL + CB†, clamp", 77.95),
    "el_deferred_capped": ("EL†, cap 0.9", None),
    "el_cb_deferred_capped": ("EL + CB†, cap 0.9", None),
    "crt": ("Decoupling-cRT on CE", None),
    "lws": ("Decoupling-LWS on CE", None),
}


def main() -> None:
    """Read, write, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, help="folder with METHOD/seedN")
    parser.add_argument("--out", type=Path, required=True, help="folder of the JSON and the figures")
    args = parser.parse_args()
    runs = {name: read_runs(args.runs / name) for name in ROWS}
    runs = {name: found for name, found in runs.items() if found}
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(args.out / "runs.json", runs)
    print(table(runs))
    write_figure(accuracy_by_class(runs), args.out, "accuracy_by_class")
    write_figure(losses(runs), args.out, "training_loss")


def read_runs(folder: Path) -> list[dict[str, Any]]:
    """``evaluation.json`` of every finished seed, with the loss of each epoch."""
    found = []
    for path in sorted(folder.glob("seed*/evaluation.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        source = result["config"]["data"]["source"]
        result["config"]["data"]["source"] = Path(source).name  # where the images lie is nobody's business
        log = read_log(path.parent / "log.jsonl")
        found.append({**result, "log": [{key: entry[key] for key in ("epoch", "loss")} for entry in log]})
    return found


def table(runs: dict[str, list[dict[str, Any]]]) -> str:
    """The runs as Markdown, in percent."""
    lines = [
        "| method | seeds | all | many | medium | natural | ECE | likelihood | paper, all |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, found in runs.items():
        label, paper = ROWS[name]
        cells = [label, str(len(found))]
        cells += [
            spread([run["accuracy"][group] for run in found], digits=2) for group in ("all", "many", "medium")
        ]
        cells.append(spread([run["accuracy"]["natural"] for run in found], digits=2))
        cells.append(spread([run["calibration_error"]["all"] for run in found], digits=2))
        cells.append(spread([run["likelihood"]["all"] for run in found], digits=2))
        cells.append("" if paper is None else f"{paper:g}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


@themed
def accuracy_by_class(runs: dict[str, list[dict[str, Any]]]) -> Figure:
    """Accuracy of each class over its training images, mean over the seeds."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    groups = (
        ("From the first epoch", ("ce", "fl", "hfl_half", "power_bonus", "el_clamped", "el_capped")),
        (
            "Deferred",
            (
                "ce",
                "cb_deferred",
                "ldam_cb_deferred",
                "el_deferred",
                "el_deferred_capped",
                "el_cb_deferred_capped",
            ),
        ),
    )
    for axes, (title, names) in zip(figure.subplots(1, 2, sharey=True), groups):
        for index, name in enumerate(name for name in names if name in runs):
            counts = runs[name][0]["class_counts"]
            accuracy = [
                statistics.fmean(values) for values in zip(*(r["accuracy_of_class"] for r in runs[name]))
            ]
            axes.plot(
                counts,
                accuracy,
                label=ROWS[name][0],
                color=PALETTE[index],
                marker=MARKERS[index],
                linestyle=DASHES[index],
            )
        axes.set(title=title, xscale="log", xlabel="training images of the class", ylim=(0, 100))
        axes.set_xticks([5000, 1000, 200, 50], ["5,000", "1,000", "200", "50"])
        axes.set_xticks([], minor=True)
        axes.invert_xaxis()
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    figure.axes[0].set_ylabel("test accuracy (%)")
    return figure


@themed
def losses(runs: dict[str, list[dict[str, Any]]]) -> Figure:
    """Training loss by epoch of Eureka from the first epoch, and what holds it."""
    figure = Figure(figsize=(4.6, 3.0), layout="constrained")
    axes = figure.subplots()
    for index, name in enumerate(
        name for name in ("ce", "el_capped", "el_clamped", "el_mean_weight", "el") if name in runs
    ):
        log = runs[name][0]["log"]
        axes.plot(
            [entry["epoch"] for entry in log],
            [entry["loss"] for entry in log],
            label=ROWS[name][0],
            color=PALETTE[index],
            linestyle=DASHES[index],
        )
    axes.axhline(0, color=MUTED, linewidth=0.7)
    axes.set_yscale("symlog", linthresh=1)
    powers = [-(10**6), -(10**4), -100, -1, 0, 1, 100, 10**4, 10**6]
    axes.set_yticks(powers, [f"{power:,}" for power in powers])
    axes.set(xlabel="epoch", ylabel="mean training loss", title="The reward without a floor")
    axes.title.set_color(INK)
    axes.legend(loc="lower left")
    return figure


if __name__ == "__main__":
    main()

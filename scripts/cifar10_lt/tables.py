"""Collect the runs of scripts/cifar10_lt/run.sh into one JSON, and print the table of the results page.

python scripts/cifar10_lt/tables.py runs/cifar10_lt --json docs/results/cifar10_lt/runs.json
python scripts/cifar10_lt/tables.py docs/results/cifar10_lt/runs.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from eureka_nlg.files import read_json, write_json
from eureka_nlg.report.panels import spread
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

Runs = dict[str, list[dict[str, Any]]]


def main() -> None:
    """Read, write, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, help="folder with METHOD/seedN, or the JSON of one")
    parser.add_argument("--json", type=Path, help="where to write what was collected")
    args = parser.parse_args()
    runs: Runs = read_json(args.runs) if args.runs.is_file() else collect(args.runs)
    if args.json:
        write_json(args.json, runs)
    print(table(runs))


def collect(folder: Path) -> Runs:
    """Method -> its finished seeds, of those that have any."""
    found = {name: read_runs(folder / name) for name in ROWS}
    return {name: seeds for name, seeds in found.items() if seeds}


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


def table(runs: Runs) -> str:
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


if __name__ == "__main__":
    main()

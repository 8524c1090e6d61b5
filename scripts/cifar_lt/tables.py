"""Collect the runs of long-tailed CIFAR-10 or -100 into one JSON, and print the table of their results page.

python scripts/cifar_lt/tables.py runs/cifar10_lt --json docs/results/cifar10_lt/runs.json
python scripts/cifar_lt/tables.py runs/cifar10_lt --epoch 170 --json docs/results/cifar10_lt/epoch170.json
python scripts/cifar_lt/tables.py docs/results/cifar10_lt/epoch170.json
python scripts/cifar_lt/tables.py seeds_1_and_2.json runs/seed3 --epoch 170 --json all.json
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import yaml

from eureka_nlg.files import read_json, write_json
from eureka_nlg.report.panels import spread
from eureka_nlg.vision.training.log import read_log

# Folder -> what the paper calls it; the table has this order.
NAMES = {
    "ce": "CE",
    "ce_adjusted": "CE, adjusted afterwards, τ 1",
    "fl": "FL",
    "hfl": "HFL",
    "hfl_half": "HFL(0.5)",
    "simplified_el_clamped": "simplified EL, clamp",
    "power_bonus": "power bonus 4",
    "el": "EL",
    "el_clamped": "EL, clamp",
    "el_capped": "EL, cap 0.9",
    "el_mean_weight": "EL, mean weight one",
    "el_encouraging": "encouraging, cap 0.75",
    "el_encouraging_low": "encouraging, cap 0.5",
    "cb_deferred": "CB†",
    "rs_deferred": "RS†",
    "ldam_cb_deferred": "LDAM + CB†",
    "el_deferred": "EL†",
    "el_cb_deferred": "EL + CB†",
    "el_deferred_clamped": "EL†, clamp",
    "el_cb_deferred_clamped": "EL + CB†, clamp",
    "el_deferred_capped": "EL†, cap 0.9",
    "el_cb_deferred_capped": "EL + CB†, cap 0.9",
    "el_deferred_released": "EL†, released",
    "el_cb_deferred_released": "EL + CB†, released",
    "el_deferred_cap075": "EL†, cap 0.75",
    "el_cb_deferred_cap075": "EL + CB†, cap 0.75",
    "el_deferred_cap05": "EL†, cap 0.5",
    "el_cb_deferred_cap05": "EL + CB†, cap 0.5",
    "crt": "Decoupling-cRT on CE",
    "lws": "Decoupling-LWS on CE",
    "oltr": "OLTR on CE",
    "fsa": "FSA on CE",
    "mbj_deferred": "MBJ†",
    "mbj": "MBJ",
    "bbn": "BBN",
    "logit_adjusted": "CE, logit-adjusted in training",
}


def _deferred(*accuracies: float) -> dict[str, float]:
    names = ("rs_deferred", "cb_deferred", "ldam_cb_deferred", "bbn", "el_cb_deferred")
    return dict(zip(names, accuracies, strict=True))


# (classes, imbalance degree) -> accuracies of the paper: Tables 5, 8 and 10, section 5.3.
PAPER: dict[tuple[int | None, float], dict[str, float]] = {
    (10, 100): {
        "ce": 71.4,
        "fl": 71.3,
        "hfl": 71.4,
        "hfl_half": 71.8,
        "simplified_el": 71.8,
        "rs_deferred": 75.61,
        "cb_deferred": 76.34,
        "ldam_cb_deferred": 77.03,
        "bbn": 79.82,
        "el_deferred": 76.1,
        "el_cb_deferred": 77.95,
    },
    (10, 50): _deferred(79.81, 79.97, 81.03, 82.18, 82.00),
    (10, 10): _deferred(87.38, 87.56, 88.16, 88.32, 88.35),
    (100, 100): _deferred(41.61, 41.51, 42.04, 42.56, 43.19),
    (100, 50): _deferred(46.48, 45.29, 46.62, 47.02, 48.48),
    (100, 10): _deferred(58.11, 58.12, 58.71, 59.12, 59.31),
}

Runs = dict[str, list[dict[str, Any]]]


def main() -> None:
    """Read, write, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", help="folder with METHOD/seedN, or the JSON of one")
    parser.add_argument("--epoch", type=int, help="the scores after this epoch, of unfinished runs too")
    parser.add_argument("--json", type=Path, help="where to write what was collected")
    args = parser.parse_args()
    runs = join([read_json(path) if path.is_file() else collect(path, args.epoch) for path in args.runs])
    if args.json:
        write_json(args.json, runs)
    print(table(runs))


def collect(folder: Path, epoch: int | None = None) -> Runs:
    """Method -> its finished seeds, or those that have reached the epoch, of the methods that have any."""
    found = {
        name: read_runs(folder / name) if epoch is None else read_epoch(folder / name, epoch)
        for name in NAMES
    }
    return {name: seeds for name, seeds in found.items() if seeds}


def join(parts: list[Runs]) -> Runs:
    """The seeds of all parts, of a seed that is in several the last, in the order of the table."""
    joined: Runs = {}
    for name in NAMES:
        seeds = {run["config"]["seed"]: run for part in parts for run in part.get(name, ())}
        if seeds:
            joined[name] = [seeds[seed] for seed in sorted(seeds)]
    return joined


def read_epoch(folder: Path, epoch: int) -> list[dict[str, Any]]:
    """Accuracies and calibration of an epoch from the log of each seed, in the form of ``read_runs``."""
    found = []
    for path in sorted(folder.glob("seed*/log.jsonl")):
        log = read_log(path)
        entry = next((one for one in log if one["epoch"] == epoch and "accuracy.all" in one), None)
        if entry is None:
            continue
        config = yaml.safe_load(path.with_name("config.yaml").read_text(encoding="utf-8"))
        _forget_places(config)
        accuracy = {key: entry[f"accuracy.{key}"] for key in ("all", "many", "medium", "few", "natural")}
        found.append(
            {
                "epoch": epoch,
                "accuracy": accuracy,
                "calibration_error": {"all": entry["calibration_error"]},
                "config": config,
                "log": [{key: one[key] for key in ("epoch", "loss")} for one in log if one["epoch"] <= epoch],
            }
        )
    return found


def read_runs(folder: Path) -> list[dict[str, Any]]:
    """``evaluation.json`` of every finished seed, with the loss of each epoch if it was a training."""
    found = []
    for path in sorted(folder.glob("seed*/evaluation.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        _forget_places(result["config"])
        log = read_log(path.parent / "log.jsonl") if (path.parent / "log.jsonl").is_file() else []
        found.append({**result, "log": [{key: entry[key] for key in ("epoch", "loss")} for entry in log]})
    return found


def _forget_places(config: dict[str, Any]) -> None:
    """Keep the names of folders only: where they lie is nobody's business."""
    config["data"]["source"] = Path(config["data"]["source"]).name
    config["save_dir"] = "/".join(Path(config["save_dir"]).parts[-2:])
    if config.get("init_from"):
        config["init_from"] = "/".join(Path(config["init_from"]).parts[-3:])


def num_classes_of(source: str) -> int | None:
    """The number of classes, from the name of the data's folder; None if it does not say."""
    found = re.search(r"cifar-?(100|10)(?!\d)", source.lower())
    return int(found[1]) if found else None


def table(runs: Runs) -> str:
    """The runs as Markdown, in percent."""
    first = next(iter(runs.values()))[0]
    groups = [group for group in ("all", "many", "medium", "few") if first["accuracy"][group] is not None]
    data = first["config"]["data"]
    num_classes = len(first.get("class_counts", ())) or num_classes_of(data["source"])
    published = PAPER.get((num_classes, data["imbalance_degree"]), {})
    likelihood = ["likelihood"] if "likelihood" in first else []
    columns = ["method", "seeds", *groups, "natural", "ECE", *likelihood, "paper, all"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, found in runs.items():
        cells = [NAMES[name], str(len(found))]
        cells += [
            spread([run["accuracy"][group] for run in found], digits=2) for group in (*groups, "natural")
        ]
        for key in ("calibration_error", *likelihood):
            known = [value for run in found if (value := run[key]["all"]) is not None]
            cells.append(spread(known, digits=2))
        # The paper does not say which form its numbers are of: its text has the one, its code the other.
        method = name.removesuffix("_released").removesuffix("_clamped")
        cells.append(f"{published[method]:g}" if method in published else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

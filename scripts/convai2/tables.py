"""Collect the runs of scripts/convai2/run.sh into one JSON, and print the tables of the results page.

python scripts/convai2/tables.py runs/convai2_small --json docs/results/convai2/runs.json
python scripts/convai2/tables.py docs/results/convai2/runs.json
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from scipy.stats import ttest_1samp

from eureka_nlg.files import read_json, write_json
from eureka_nlg.report.panels import spread
from eureka_nlg.training_log import read_log

# Config -> what the tables call it: the rows of Table 4, the same after nine epochs, and everything else.
ROWS = {
    "ce_longer": "CE",
    "fl1_longer": "FL, gamma 1",
    "fl2_longer": "FL, gamma 2",
    "el_longer": "EL",
    "el_scale16_capped_longer": "EL x 16, cap 0.9",
}
NINE_EPOCHS = {
    "ce": "CE, 9 epochs",
    "fl1": "FL, gamma 1, 9 epochs",
    "fl2": "FL, gamma 2, 9 epochs",
    "el": "EL, 9 epochs",
    "el_scale16_capped": "EL x 16, cap 0.9, 9 epochs",
}
VARIANTS = {
    "ce_no_residual": "CE, encoder without residual",
    "fl1_from_start": "FL, gamma 1, from the first epoch",
    "el_mean_weight": "EL, mean weight one",
    "el_beta0": "EL, encouragement one for all",
    "el_beta0_capped": "EL, encouragement one for all, cap 0.9",
    "el_beta09": "EL, beta 0.9",
    "el_beta09_capped": "EL, beta 0.9, cap 0.9",
    "el_beta099": "EL, beta 0.99",
    "el_beta09999": "EL, beta 0.9999",
    "el_beta09999_capped": "EL, beta 0.9999, cap 0.9",
    "el_early": "EL from epoch 4",
    "el_late": "EL from epoch 8",
    "el_capped": "EL, cap 0.9",
    "el_mean_weight_capped": "EL, mean weight one, cap 0.9",
    "el_scale4_capped": "EL x 4, cap 0.9",
    "el_scale64_capped": "EL x 64, cap 0.9",
    "el_scale16": "EL x 16, exact",
    "simplified_el": "simplified EL",
    "power_bonus": "power bonus",
    "cb": "CB",
    "el_cb": "EL + CB",
    "el_released": "EL as released for images",
    "el_encouraging": "EL, encouraging loss",
    "el_encouraging_low": "EL, encouraging loss from 0.5",
    "gem": "GEM",
    "face_output": "FACE, counts of the output",
    "unlikelihood": "unlikelihood of the words before",
    "own_replies_from_start": "unlikelihood of own replies",
}
LABELS = ROWS | NINE_EPOCHS | VARIANTS
NUM_EPOCHS = 9  # of all but the longer runs
# The tests compare each with the cross-entropy of as many epochs.
BASELINES = dict.fromkeys(ROWS, "ce_longer")
DECODINGS = {"beam1": "greedy", "beam5": "beam 5", "sample": "sampled, top-p 0.9"}
TESTED = ("macro_f", "micro_f", "diversity_4")
COLUMNS = {
    "macro_f": "macro F",
    "micro_f": "micro F",
    "diversity_4": "4-gram diversity",
    "parlai_f1": "ParlAI F1",
    "macro_f_tail": "macro F, tail",
    "distinct_replies": "distinct replies",
    "word_types": "word types",
    "unknown_replies": "% with `<unk>`",
    "mean_length": "words a reply",
    "ppl": "ppl",
}
CURVES = ("ppl", "likelihood", "bonus", "reward", "macro_f", "micro_f", "diversity_4")

Runs = dict[str, list[dict[str, Any]]]


def main() -> None:
    """Read, write, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, help="folder with CONFIG/seedN and the scores, or the JSON of one")
    parser.add_argument("--json", type=Path, help="where to write what was collected")
    args = parser.parse_args()
    runs: Runs = read_json(args.runs) if args.runs.is_file() else collect(args.runs)
    if args.json:
        write_json(args.json, runs, indent=1)
    for decoding, label in DECODINGS.items():
        print(
            f"\n{label}", table(runs, decoding), over_seeds(runs, decoding), tests(runs, decoding), sep="\n\n"
        )
    print(f"\nvalidation, mean of the epochs after {NUM_EPOCHS}\n\n{validation_leads(runs)}")


def collect(folder: Path) -> Runs:
    """Config -> its finished seeds, of those that have any."""
    found = {name: read_runs(folder, name) for name in LABELS}
    return {name: seeds for name, seeds in found.items() if seeds}


def read_runs(folder: Path, name: str) -> list[dict[str, Any]]:
    """What each finished seed of a config left: scores by decoding, tests against CE, curves."""
    found = []
    for run in sorted((folder / name).glob("seed*")):
        seed = int(run.name.removeprefix("seed"))
        log = run / "fairseq.log"
        if not log.is_file():
            continue
        curves = {
            measure: {split: list(points.items()) for split, points in by_split.items()}
            for measure, by_split in read_log(log).curves.items()
            if measure in CURVES
        }
        result: dict[str, Any] = {"seed": seed, "scores": {}, "against_ce": {}, "curves": curves}
        baseline = BASELINES.get(name, "ce")
        for decoding in DECODINGS:
            path = folder / f"scores.{baseline}.{decoding}.seed{seed}.json"
            document = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
            if name not in document:
                continue
            replies = (run / f"replies.test.{decoding}.txt").read_text(encoding="utf-8").splitlines()
            scores = dict(document[name]["scores"])
            scores["distinct_replies"] = len(set(replies))
            scores["word_types"] = len({word for reply in replies for word in reply.split()})
            scores["unknown_replies"] = 100.0 * statistics.fmean(
                "<unk>" in reply.split() for reply in replies
            )
            perplexity = run / f"replies.test.{decoding}.perplexity"
            if perplexity.is_file():
                scores["ppl"] = float(perplexity.read_text())
            result["scores"][decoding] = scores
            differences = document.get("significance", {}).get("differences", {})
            result["against_ce"][decoding] = {
                metric: systems[name] for metric, systems in differences.items() if name in systems
            }
        if result["scores"]:
            found.append(result)
    return found


def table(runs: Runs, decoding: str) -> str:
    """Mean over the seeds, and the standard deviation of the sample."""
    names = [name for name in runs if any(decoding in run["scores"] for run in runs[name])]
    columns = [
        key for key in COLUMNS if any(key in r["scores"].get(decoding, {}) for n in names for r in runs[n])
    ]
    lines = [
        "| " + " | ".join(["loss", "seeds", *(COLUMNS[key] for key in columns)]) + " |",
        "|" + "---|" * (len(columns) + 2),
    ]
    for name in names:
        scores = [run["scores"][decoding] for run in runs[name] if decoding in run["scores"]]
        cells = [LABELS[name], str(len(scores))]
        cells += [spread([score[key] for score in scores if key in score]) for key in columns]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def tests(runs: Runs, decoding: str) -> str:
    """Difference from cross-entropy of the same seed, with its 95 % interval and p of randomisation."""
    lines = [
        "| loss | seed | " + " | ".join(COLUMNS[metric] for metric in TESTED) + " |",
        "|---|---|---|---|---|",
    ]
    for name in runs:
        for run in runs[name]:
            differences = run["against_ce"].get(decoding, {})
            if differences:
                keys = ("value", "low", "high", "p_randomisation")
                cells = [difference(*(differences[metric][key] for key in keys)) for metric in TESTED]
                lines.append(f"| {LABELS[name]} | {run['seed']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def over_seeds(runs: Runs, decoding: str) -> str:
    """Difference from cross-entropy, mean over the seeds, with 95 % interval and p of the paired t-test."""
    lines = [
        "| loss | seeds | " + " | ".join(COLUMNS[metric] for metric in TESTED) + " |",
        "|---|---|---|---|---|",
    ]
    for name in runs:
        found = [run["against_ce"][decoding] for run in runs[name] if run["against_ce"].get(decoding)]
        if len(found) < 2:
            continue
        cells = [paired([seed[metric]["value"] for seed in found]) for metric in TESTED]
        lines.append(f"| {LABELS[name]} | {len(found)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def validation_leads(runs: Runs) -> str:
    """Difference of the longer runs from cross-entropy, averaged over later epochs, then as over_seeds."""
    metrics = (*TESTED, "ppl")
    lines = [
        "| loss | seeds | " + " | ".join(COLUMNS[metric] for metric in metrics) + " |",
        "|---|---|---|---|---|---|",
    ]
    baselines = {run["seed"]: run["curves"] for run in runs.get("ce_longer", [])}
    for name in ROWS:
        pairs = [
            (run["curves"], baselines[run["seed"]]) for run in runs.get(name, []) if run["seed"] in baselines
        ]
        if name == "ce_longer" or len(pairs) < 2:
            continue
        cells = []
        for metric in metrics:
            curves = [[dict(curve[metric]["valid"]) for curve in pair] for pair in pairs]
            cells.append(
                paired(
                    [
                        statistics.fmean(
                            mine[epoch] - other[epoch]
                            for epoch in mine.keys() & other.keys()
                            if epoch > NUM_EPOCHS
                        )
                        for mine, other in curves
                    ]
                )
            )
        lines.append(f"| {LABELS[name]} | {len(pairs)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def paired(differences: list[float]) -> str:
    """Mean, its 95 % interval, and p of the t-test."""
    test = ttest_1samp(differences, 0.0)
    low, high = test.confidence_interval(0.95)
    return difference(statistics.fmean(differences), low, high, test.pvalue)


def difference(value: float, low: float, high: float, p_value: float) -> str:
    """Difference, interval and p, in bold where the p-value is below 5 %."""
    text = f"{value:+.2f} [{low:+.2f}, {high:+.2f}] p {p_value:.3f}"
    return f"**{text}**" if p_value < 0.05 else text


if __name__ == "__main__":
    main()

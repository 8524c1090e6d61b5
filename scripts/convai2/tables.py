"""Collect the runs of scripts/convai2/run.sh: one JSON, the tables of the results page, figures.

python scripts/convai2/tables.py runs/convai2_small --out docs/results/convai2
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from scipy.stats import ttest_1samp

from eureka_nlg.report.figures import training_curves
from eureka_nlg.report.panels import add_legend, color_of, marker_of, new_figure, set_log_axis, spread
from eureka_nlg.report.theme import themed, write_figure
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
    parser.add_argument("runs", type=Path, help="folder with CONFIG/seedN and the scores")
    parser.add_argument("--out", type=Path, required=True, help="folder of the JSON and the figures")
    args = parser.parse_args()
    found = {name: read_runs(args.runs, name) for name in LABELS}
    runs = {name: seeds for name, seeds in found.items() if seeds}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "runs.json").write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
    for decoding, label in DECODINGS.items():
        print(
            f"\n{label}", table(runs, decoding), over_seeds(runs, decoding), tests(runs, decoding), sep="\n\n"
        )
    print(f"\nvalidation, mean of the epochs after {NUM_EPOCHS}\n\n{validation_leads(runs)}")
    rows = {label: runs[name][0]["curves"] for name, label in ROWS.items() if name in runs}
    write_figure(diversity_against_perplexity(runs), args.out, "diversity_against_perplexity")
    write_figure(f_by_band(runs), args.out, "f_by_band")
    write_figure(lead_by_epoch(runs), args.out, "lead_by_epoch")
    measures = {"ppl": "perplexity", "macro_f": "macro F (%)", "diversity_4": "4-gram diversity (%)"}
    write_figure(training_curves(rows, measures, title=""), args.out, "training_curves")


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


@themed
def diversity_against_perplexity(runs: Runs) -> Figure:
    """Where the epochs of each loss lie: validation perplexity, and diversity of greedy replies."""
    figure, (axes,) = new_figure(1, False, 1, 3.2, "", width=6.5)
    lines: dict[str, Any] = {}
    for index, name in enumerate(name for name in ROWS if name in runs):
        for run in runs[name]:
            perplexity, diversity = (dict(run["curves"][key]["valid"]) for key in ("ppl", "diversity_4"))
            epochs = sorted(perplexity.keys() & diversity.keys())
            (lines[ROWS[name]],) = axes.plot(
                [perplexity[epoch] for epoch in epochs],
                [diversity[epoch] for epoch in epochs],
                color=color_of(index),
                marker=marker_of(index),
                markersize=3.5,
                linewidth=1,
            )
    set_log_axis(axes, "x", "validation perplexity, log scale")
    axes.set_ylabel("4-gram diversity of greedy replies (%)")
    add_legend(figure, lines, False)
    return figure


@themed
def lead_by_epoch(runs: Runs) -> Figure:
    """How far each loss is ahead of the cross-entropy of its seed, epoch by epoch, on the validation set."""
    measures = {"macro_f": "macro F", "diversity_4": "4-gram diversity"}
    figure, panels = new_figure(len(measures), False, 2, 2.8, "", width=8)
    baselines = {run["seed"]: run["curves"] for run in runs.get("ce_longer", [])}
    lines: dict[str, Any] = {}
    for axes, (key, label) in zip(panels, measures.items(), strict=True):
        for index, name in enumerate(ROWS):
            leads: dict[int, list[float]] = {}
            for run in runs.get(name, []) if name != "ce_longer" else []:
                against = dict(baselines.get(run["seed"], {}).get(key, {}).get("valid", []))
                for epoch, value in run["curves"][key]["valid"]:
                    if epoch in against:
                        leads.setdefault(epoch, []).append(value - against[epoch])
            if not leads:
                continue
            epochs = sorted(leads)
            for epoch in epochs:
                axes.plot([epoch] * len(leads[epoch]), leads[epoch], ".", color=color_of(index), alpha=0.35)
            (lines[ROWS[name]],) = axes.plot(
                epochs,
                [statistics.fmean(leads[epoch]) for epoch in epochs],
                color=color_of(index),
                marker=marker_of(index),
                markersize=4,
            )
        axes.axhline(0.0, color="0.6", linewidth=0.8)
        axes.set(xlabel="epoch", ylabel=f"{label}, points ahead of CE")
    add_legend(figure, lines, False)
    return figure


@themed
def f_by_band(runs: Runs) -> Figure:
    """How far macro F of each band of training frequency is from that of cross-entropy, on the test set."""
    decodings = [key for key in DECODINGS if any(key in run["scores"] for run in runs.get("ce_longer", []))]
    figure, panels = new_figure(len(decodings), False, 3, 2.8, "", width=10)
    others = [name for name in ROWS if name != "ce_longer" and name in runs]
    bands = ("head", "body", "tail")
    bars: dict[str, Any] = {}
    for axes, decoding in zip(panels, decodings, strict=True):
        baselines = {run["seed"]: run["scores"].get(decoding) for run in runs["ce_longer"]}
        for place, name in enumerate(others):
            offset = 0.8 * ((place + 0.5) / len(others) - 0.5)
            for position, band in enumerate(bands):
                key = f"macro_f_{band}"
                differences = [
                    100.0 * (run["scores"][decoding][key] / baseline[key] - 1.0)
                    for run in runs[name]
                    if decoding in run["scores"] and (baseline := baselines.get(run["seed"]))
                ]
                if not differences:
                    continue
                bars[ROWS[name]] = axes.bar(
                    position + offset,
                    statistics.fmean(differences),
                    width=0.7 / len(others),
                    color=color_of(list(ROWS).index(name)),
                )
                axes.plot(
                    [position + offset] * len(differences), differences, ".", color="0.25", markersize=4
                )
        axes.axhline(0.0, color="0.6", linewidth=0.8)
        axes.set_xticks(range(len(bands)), bands)
        axes.set_title(DECODINGS[decoding], loc="left")
    panels[0].set_ylabel("macro F, % above CE's")
    add_legend(figure, bars, False)
    return figure


if __name__ == "__main__":
    main()

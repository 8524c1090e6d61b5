"""Logit adjustment of trained runs: decode, score, print tables for the pages.

python scripts/convai2/adjusted.py runs/convai2_small data-bin/convai2_small --json adjusted.json
python scripts/convai2/adjusted.py runs/dailydialog data-bin/dailydialog --splits test --json adjusted.json
python scripts/convai2/adjusted.py docs/results/convai2/adjusted.json

The validation split is decoded greedily with each tau, to choose one; the test split without and with that.
Replies are kept beside the runs, and what is there is not decoded again.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tables import COLUMNS, LABELS, TESTED, difference

from eureka_nlg.errors import UserError
from eureka_nlg.files import read_json, write_json, write_lines
from eureka_nlg.report.panels import spread

SYSTEMS = ("ce", "fl2", "el", "el_scale16_capped")
BEAMS = {"1": "greedy", "5": "beam 5"}
TAUS = (0.0, 0.1, 0.2, 0.3, 0.4)
CHOSEN = 0.2  # on the validation split of ConvAI2
TAUS_OF_SPLIT = {"valid": TAUS, "test": (0.0, CHOSEN)}
BEAMS_OF_SPLIT = {"valid": ("1",), "test": tuple(BEAMS)}
METRICS = ("macro_f", "micro_f", "diversity_4", "parlai_f1", "mean_length")
BASELINES = {  # (system, tau)
    "ce": ("ce", 0.0),
    "fl2": ("fl2", 0.0),
    "ce_adjusted": ("ce", CHOSEN),
}
NAMES_OF_BASELINES = {
    "ce": "cross-entropy",
    "fl2": "focal loss",
    "ce_adjusted": f"cross-entropy with τ = {CHOSEN:g}",
}

Document = dict[str, list[dict[str, Any]]]


def main() -> None:
    """Decode or read, write, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, help="folder with CONFIG/seedN, or the JSON of one")
    parser.add_argument("data", type=Path, nargs="?", help="data folder of the runs")
    parser.add_argument("--splits", nargs="+", choices=TAUS_OF_SPLIT, default=list(TAUS_OF_SPLIT))
    parser.add_argument("--json", type=Path, help="where to write the scores")
    args = parser.parse_args()
    if args.runs.is_file():
        document: Document = read_json(args.runs)
    elif args.data is None:
        raise UserError(f"{args.runs}: give the data folder of these runs, too")
    else:
        document = measure(args.runs, args.data, args.splits)
    if args.json:
        write_json(args.json, document, indent=1)
    for split, results in document.items():
        for beam in BEAMS_OF_SPLIT[split]:
            label = BEAMS[beam]
            print(f"\n{label}, {split}", averages(results, beam), sep="\n\n")
            if split == "test":
                for baseline, what in NAMES_OF_BASELINES.items():
                    if any(one.get(f"against_{baseline}") for one in results):
                        print(f"\nAgainst {what}:\n\n{tests(results, beam, baseline)}")
                    if any((one["name"], one["tau"]) == BASELINES[baseline] for one in results):
                        print(f"\nAgainst {what}, all seeds:\n\n{together(results, beam, baseline)}")


def measure(folder: Path, data: Path, splits: Sequence[str]) -> Document:
    """Scores of each finished run by split, beam and tau; on test also the differences from the baselines."""
    document: Document = {split: [] for split in splits}
    seeds = sorted({path.parent.name for path in folder.glob("*/seed*/trained")})
    for split in splits:
        references = (data / "references" / f"{split}.txt").read_text(encoding="utf-8").splitlines()
        for seed in seeds:
            runs = [(name, folder / name / seed) for name in SYSTEMS]
            for beam in BEAMS_OF_SPLIT[split]:
                replies = {
                    (name, tau): found
                    for name, run in runs
                    if (run / "trained").is_file()
                    for tau, found in decoded(run, data, split, beam, TAUS_OF_SPLIT[split])
                }
                for result in scored(replies, references, with_tests=split == "test"):
                    document[split].append({"seed": int(seed.removeprefix("seed")), "beam": beam, **result})
    return document


def scored(
    replies: dict[tuple[str, float], list[str]], references: list[str], with_tests: bool
) -> Iterator[dict[str, Any]]:
    """Scores of each system, and its differences from the baselines that are among them."""
    from eureka_nlg.metrics import compare, score_replies

    labels = {key: f"{key[0]} {key[1]:g}" for key in replies}
    systems = {labels[key]: found for key, found in replies.items()}
    differences: dict[str, Any] = {
        baseline: compare(systems, references, TESTED, baseline=labels[system]).differences
        for baseline, system in BASELINES.items()
        if with_tests and system in replies
    }
    for (name, tau), found in replies.items():
        scores = score_replies(found, references, metrics=METRICS).scores
        words = [reply.split() for reply in found]
        scores["distinct_replies"] = len(set(found))
        scores["word_types"] = len({word for reply in words for word in reply})
        scores["unknown_replies"] = 100.0 * statistics.fmean("<unk>" in reply for reply in words)
        against = {
            f"against_{baseline}": {
                metric: asdict(of_systems[labels[name, tau]])
                for metric, of_systems in of_metrics.items()
                if labels[name, tau] in of_systems
            }
            for baseline, of_metrics in differences.items()
        }
        yield {"name": name, "tau": tau, "scores": scores, **against}


def decoded(
    run: Path, data: Path, split: str, beam: str, taus: tuple[float, ...]
) -> Iterator[tuple[float, list[str]]]:
    """Replies of a run with each tau, from the files beside it where they are there."""
    from eureka_nlg.dialogue.generation import Run, generate

    model = None
    for tau in taus:
        path = run / f"adjusted.{split}.beam{beam}.tau{tau:g}.txt"
        if not path.is_file():
            model = model or Run.load(run / "checkpoint_last.pt", data=str(data))
            adjusted = model.adjusted(tau) if tau else model
            write_lines(path, generate(adjusted, split, ["--beam", beam, "--batch-size", "128"]).hypotheses)
        yield tau, path.read_text(encoding="utf-8").splitlines()


def averages(results: list[dict[str, Any]], beam: str) -> str:
    """Mean over the seeds, and the standard deviation of the sample."""
    columns = [key for key in COLUMNS if any(key in result["scores"] for result in results)]
    lines = [
        "| " + " | ".join(["loss", "τ", "seeds", *(COLUMNS[key] for key in columns)]) + " |",
        "|" + "---|" * (len(columns) + 3),
    ]
    for name in SYSTEMS:
        for tau in TAUS:
            scores = [
                one["scores"]
                for one in results
                if (one["name"], one["tau"], one["beam"]) == (name, tau, beam)
            ]
            if scores:
                cells = [spread([score[key] for score in scores]) for key in columns]
                lines.append(f"| {label_of(name)} | {tau:g} | {len(scores)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def tests(results: list[dict[str, Any]], beam: str, baseline: str) -> str:
    """Differences from a baseline of the same seed as it is, with 95 % interval and p of randomisation."""
    lines = [
        "| loss | τ | seed | " + " | ".join(COLUMNS[metric] for metric in TESTED) + " |",
        "|---|---|---|---|---|---|",
    ]
    for one in results:
        if one["beam"] == beam and (against := one.get(f"against_{baseline}")):
            keys = ("value", "low", "high", "p_randomisation")
            cells = [difference(*(against[metric][key] for key in keys)) for metric in TESTED]
            lines.append(
                f"| {label_of(one['name'])} | {one['tau']:g} | {one['seed']} | {' | '.join(cells)} |"
            )
    return "\n".join(lines)


def together(results: list[dict[str, Any]], beam: str, baseline: str) -> str:
    """Relative differences of the means over the seeds that both have, and the combined p of their tests.

    It is Stouffer's: tests of opposite signs speak against each other. No p where a seed was not tested.
    """
    from scipy.stats import norm

    lines = [
        "| loss | τ | seeds | " + " | ".join(COLUMNS[metric] for metric in TESTED) + " |",
        "|---|---|---|---|---|---|",
    ]
    found: dict[tuple[str, float], list[dict[str, Any]]] = {}
    bases = {
        one["seed"]: one["scores"]
        for one in results
        if one["beam"] == beam and (one["name"], one["tau"]) == BASELINES[baseline]
    }
    for one in results:
        system = (one["name"], one["tau"])
        if one["beam"] == beam and one["seed"] in bases and system != BASELINES[baseline]:
            found.setdefault(system, []).append(one)
    for (name, tau), ones in found.items():
        cells = []
        for metric in TESTED:
            of_base = statistics.fmean(bases[one["seed"]][metric] for one in ones)
            mean = statistics.fmean(one["scores"][metric] for one in ones)
            relative = 100 * (mean / of_base - 1) if of_base else math.nan
            tests_of_seeds = [against[metric] for one in ones if (against := one.get(f"against_{baseline}"))]
            if len(tests_of_seeds) < len(ones):
                cells.append(f"{relative:+.1f} %")
                continue
            z = sum(
                math.copysign(norm.isf(test["p_randomisation"] / 2), test["value"]) for test in tests_of_seeds
            )
            p = 2 * norm.sf(abs(z) / math.sqrt(len(ones)))
            shown = f"{relative:+.1f} % p {p:.3f}" if p >= 0.001 else f"{relative:+.1f} % p <0.001"
            cells.append(f"**{shown}**" if p < 0.05 else shown)
        lines.append(f"| {label_of(name)} | {tau:g} | {len(ones)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def label_of(name: str) -> str:
    """What the tables of the page call a config."""
    return LABELS[name].removesuffix(", 9 epochs")


if __name__ == "__main__":
    main()

"""Scores of the runs of scripts/smollm2/run.sh, beside cross-entropy of the same seed: a JSON and two tables.

    python scripts/smollm2/tables.py runs/smollm2 data-bin/dailydialog_512 --json docs/results/smollm2.json

Replies and references are lower-cased and split by NLTK. The validation nll is the `eval_loss`, which is
plain cross-entropy whatever loss a run was trained with.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eureka_nlg.dialogue.tokenizers import nltk_tokenizer
from eureka_nlg.files import read_json, write_json
from eureka_nlg.finetune.conversations import read_messages
from eureka_nlg.metrics import compare

ROWS = {
    "base": "not fine-tuned",
    "ce": "CE",
    "dft": "DFT",
    "eureka_one": "Eureka, weight one, cap 0.75",
    "eureka_counts": "Eureka, by token counts, cap 0.75",
}
METRICS = {
    "macro_f": "macro F",
    "micro_f": "micro F",
    "diversity_4": "4-gram diversity",
    "parlai_f1": "ParlAI F1",
    "mean_length": "words",
}
TESTED = ("macro_f", "micro_f", "diversity_4", "parlai_f1")


def main() -> None:
    """Score, write, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, help="folder with ROW/seedN/replies.test.txt, and base/")
    parser.add_argument("data", type=Path, help="folder of the conversations")
    parser.add_argument("--json", type=Path, help="where to write the scores")
    args = parser.parse_args()
    results = [result for seed in (1, 2) for result in of_seed(args.runs, args.data, seed)]
    if args.json:
        write_json(args.json, results, indent=1)
    print(scores(results), differences(results), sep="\n\n")


def of_seed(runs: Path, data: Path, seed: int) -> list[dict[str, Any]]:
    """Scores of each finished row; what was not fine-tuned stands beside the first seed."""
    split = nltk_tokenizer()

    def words(text: str) -> str:
        return " ".join(split.tokenize(text.lower()))

    references = [
        words(message["content"])
        for messages in read_messages(data, "test")
        for message in messages
        if message["role"] == "assistant"
    ]
    folders = {name: runs / name / f"seed{seed}" for name in ROWS}
    if seed == 1:
        folders["base"] = runs / "base"
    replies = {
        name: [words(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for name, folder in folders.items()
        if (path := folder / "replies.test.txt").is_file()
    }
    if "ce" not in replies:
        return []
    compared = compare(replies, references, list(METRICS), baseline="ce")
    results = []
    for name, found in replies.items():
        log_file = folders[name] / "trainer_state.json"
        logged = read_json(log_file)["log_history"] if log_file.is_file() else []
        results.append(
            {
                "name": name,
                "seed": seed,
                "scores": {metric: compared.scores[metric][name].value for metric in METRICS},
                "distinct_replies": len(set(found)),
                "word_types": len({word for reply in found for word in reply.split()}),
                "stock_replies": 100 * sum(count for _, count in Counter(found).most_common(10)) / len(found),
                "repeating_replies": 100 * sum(map(repeats, found)) / len(found),
                "valid_nll": next((one["eval_loss"] for one in reversed(logged) if "eval_loss" in one), None),
                "curve": [
                    {key: one[key] for key in ("step", "nll", "likelihood") if key in one}
                    for one in logged
                    if "nll" in one
                ],
                "against_ce": {
                    metric: asdict(compared.differences[metric][name])
                    for metric in TESTED
                    if name in compared.differences[metric]
                },
            }
        )
    return results


def repeats(reply: str) -> bool:
    """Whether a reply has one of its 4-grams twice."""
    words = reply.split()
    ngrams = list(zip(words, words[1:], words[2:], words[3:]))
    return len(set(ngrams)) < len(ngrams)


def scores(results: list[dict[str, Any]]) -> str:
    """A row of scores for each run."""
    columns = [*METRICS.values(), "distinct replies", "word types", "% the ten commonest", "% that repeat"]
    columns.append("validation nll")
    lines = [
        "| loss | seed | " + " | ".join(columns) + " |",
        "|" + "---|" * (len(columns) + 2),
    ]
    for one in results:
        cells = [f"{one['scores'][metric]:.2f}" for metric in METRICS]
        cells += [str(one["distinct_replies"]), str(one["word_types"])]
        cells += [f"{one[key]:.1f}" for key in ("stock_replies", "repeating_replies")]
        cells.append("" if one["valid_nll"] is None else f"{one['valid_nll']:.3f}")
        lines.append(f"| {ROWS[one['name']]} | {one['seed']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def differences(results: list[dict[str, Any]]) -> str:
    """Differences from cross-entropy, with 95 % interval and p of randomisation; bold below 5 %."""
    lines = [
        "| loss | seed | " + " | ".join(METRICS[metric] for metric in TESTED) + " |",
        "|" + "---|" * (len(TESTED) + 2),
    ]
    for one in results:
        if one["against_ce"]:
            cells = []
            for metric in TESTED:
                found = one["against_ce"][metric]
                text = f"{found['value']:+.2f} [{found['low']:+.2f}, {found['high']:+.2f}]"
                text += f" p {found['p_randomisation']:.3f}"
                cells.append(f"**{text}**" if found["p_randomisation"] < 0.05 else text)
            lines.append(f"| {ROWS[one['name']]} | {one['seed']} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

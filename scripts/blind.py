"""Judge replies of several systems without knowing whose they are.

python scripts/blind.py sheet FOLDER --contexts contexts/test.txt ce=ce.txt el=el.txt --number 200
python scripts/blind.py count FOLDER [--baseline NAME]

The first command draws contexts and writes FOLDER/sheet.txt, where each has its different replies, shuffled
and called A, B, ...; which system gave which is in FOLDER/key.json, not to be opened before the end. The
judge writes FOLDER/marks.txt: a line a context with its number, the kinds of faults of each reply in the
order of the sheet (letters of KINDS, or - for none), and the best replies (AB if two are as good, = if all
are). The second command uncovers: faults of each system, and how often it was preferred to the first or to
another one, with the sign test.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from eureka_nlg.errors import UserError
from eureka_nlg.files import read_json, write_json, write_lines

KINDS = {
    "d": "dull",  # fits nearly any context
    "o": "off topic",  # does not fit what was said
    "u": "ungrammatical",  # or a word is missing, or repeated without sense
    "c": "contradicts",  # the persona or itself
}
Key = list[dict[str, str]]  # for each context: letter of the reply of each system


def main() -> None:
    """Write a sheet, or count marks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, dest="command")
    sheet = commands.add_parser("sheet")
    sheet.add_argument("folder", type=Path)
    sheet.add_argument("replies", nargs="+", metavar="NAME=FILE")
    sheet.add_argument("--contexts", type=Path, required=True)
    sheet.add_argument("--number", type=int, default=200)
    sheet.add_argument("--seed", type=int, default=1)
    count = commands.add_parser("count")
    count.add_argument("folder", type=Path)
    count.add_argument("--baseline", metavar="NAME", help="the system to compare with (default: the first)")
    args = parser.parse_args()
    if args.command == "count":
        key = read_json(args.folder / "key.json")
        marks = read_marks((args.folder / "marks.txt").read_text(encoding="utf-8"), key)
        print(counts(key, marks, args.baseline))
        return
    files = dict(pair.partition("=")[::2] for pair in args.replies)
    replies = {name: Path(file).read_text(encoding="utf-8").splitlines() for name, file in files.items()}
    contexts = args.contexts.read_text(encoding="utf-8").splitlines()
    lines, key = draw(contexts, replies, args.number, args.seed)
    args.folder.mkdir(parents=True, exist_ok=True)
    write_lines(args.folder / "sheet.txt", lines)
    write_json(args.folder / "key.json", key)


def draw(
    contexts: Sequence[str], replies: Mapping[str, Sequence[str]], number: int, seed: int
) -> tuple[list[str], Key]:
    """Lines of the sheet, and which letter each system has; equal replies share one."""
    for name, found in replies.items():
        if len(found) != len(contexts):
            raise UserError(f"{name}: {len(found)} replies for {len(contexts)} contexts")
    generator = random.Random(seed)
    lines, key = [], []
    for place, index in enumerate(sorted(generator.sample(range(len(contexts)), number)), start=1):
        different = sorted({found[index] for found in replies.values()})
        generator.shuffle(different)
        letters = {text: chr(ord("A") + n) for n, text in enumerate(different)}
        key.append({name: letters[found[index]] for name, found in replies.items()})
        lines += [f"{place}. {contexts[index]}", *(f"  {letter}: {text}" for text, letter in letters.items())]
    return lines, key


def read_marks(text: str, key: Key) -> list[tuple[dict[str, str], str]]:
    """For each context the kinds of faults by letter, and the letters of the best replies."""
    lines = [line.split() for line in text.splitlines()]
    if len(lines) != len(key):
        raise UserError(f"marks: {len(lines)} lines, expected one for each of {len(key)} contexts")
    marks = []
    for place, (words, letters_of) in enumerate(zip(lines, key, strict=True), start=1):
        letters = sorted(set(letters_of.values()))
        first, *faults, best = words if len(words) > 2 else [*words, "", ""]
        best = "".join(letters) if best == "=" else best
        if (
            first != str(place)
            or len(faults) != len(letters)
            or not set("".join(faults)) <= {*KINDS, "-"}
            or not best
            or not set(best) <= set(letters)
        ):
            raise UserError(
                f"marks, line {place}: {' '.join(words)!r}: expected {place}, the faults of {len(letters)} "
                f"replies ({''.join(KINDS)}, or -), and the best of {''.join(letters)} (= for all)"
            )
        marks.append((dict(zip(letters, faults, strict=True)), best))
    return marks


def counts(key: Key, marks: Sequence[tuple[dict[str, str], str]], baseline: str | None = None) -> str:
    """Table of faults, and preferences to the baseline, by default the first system."""
    from scipy.stats import binomtest

    systems = list(key[0])
    baseline = systems[0] if baseline is None else baseline
    if baseline not in systems:
        raise UserError(f"--baseline {baseline}: expected one of {', '.join(systems)}")
    kinds_of_faults = " | ".join(KINDS.values())
    lines = [
        f"| system | {kinds_of_faults} | without fault | preferred to {baseline} | the other way | p |",
        "|" + "---|" * (len(KINDS) + 5),
    ]
    for name in systems:
        faults = [of_letters[letters[name]] for letters, (of_letters, _) in zip(key, marks, strict=True)]
        kinds = Counter(kind for found in faults for kind in set(found))
        better = Counter(
            (letters[name] in best) - (letters[baseline] in best)
            for letters, (_, best) in zip(key, marks, strict=True)
        )
        won, lost = better[1], better[-1]
        p = binomtest(won, won + lost).pvalue if won + lost else 1.0
        preferred = [str(won), str(lost), f"{p:.3f}" if p >= 0.001 else "<0.001"]
        if name == baseline:
            preferred = ["", "", ""]
        cells = [name, *(str(kinds[kind]) for kind in KINDS), str(kinds["-"]), *preferred]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

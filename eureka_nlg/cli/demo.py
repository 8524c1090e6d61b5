"""Train cross-entropy and Eureka on the bundled corpus, and show scores and replies side by side.

    eureka demo

It takes 5 to 8 minutes on two free cores. Finished steps are not repeated; --fresh starts over.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from eureka_nlg.bundled import find_bundled
from eureka_nlg.errors import UserError, require
from eureka_nlg.files import exclusive, write_json
from eureka_nlg.limits import check_seed

if TYPE_CHECKING:
    from eureka_nlg.dialogue.demo import Demo

__all__ = ["add_arguments", "run"]

_NUM_CONTEXTS = 4
_SECONDS_BETWEEN_LINES = 20  # where the output is no terminal
_HAVE_AN_ARGUMENT = {
    "data": "the demo's own data, which it makes in --out",
    "save_dir": "--out DIR instead",
    "max_epoch": "--epochs N instead",
    "seed": "--seed N instead",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/demo"),
        metavar="DIR",
        help="folder for data, models and scores (default: %(default)s)",
    )
    parser.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help="epochs of each training; Eureka's bonus begins after the same share of them (default: 7)",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="seed of both trainings (default: 1)")
    parser.add_argument("--fresh", action="store_true", help="remove what an earlier demo left in --out")
    parser.add_argument(
        "options", nargs="*", metavar="key=value", help="more options of both trainings, as in `eureka train`"
    )


def run(args: argparse.Namespace) -> int:
    """Prepare, train, decode, score, show."""
    for package, extra in (("fairseq", "fairseq"), ("datasets", "data"), ("tabulate", "metrics")):
        if importlib.util.find_spec(package) is None:  # importing fairseq turns logging on
            require(package, extra=extra)
    from eureka_nlg.dialogue.demo import MARK, SYSTEMS, Demo
    from eureka_nlg.dialogue.manifest import MANIFEST
    from eureka_nlg.dialogue.training import read_config
    from eureka_nlg.files import remove_made

    if args.epochs is not None and args.epochs < 1:
        raise UserError(f"--epochs {args.epochs}: expected 1 or more")
    if args.seed is not None:
        check_seed("--seed", args.seed)
    for option in args.options:
        if (instead := _HAVE_AN_ARGUMENT.get(option.partition("=")[0].replace("-", "_"))) is not None:
            raise UserError(f"{option}: expected {instead}")
    demo = Demo(args.out, args.epochs, args.seed, tuple(args.options))
    for name in SYSTEMS:
        read_config(demo.config(name), demo.overrides(name))  # before anything is written
    with exclusive(demo.folder):
        if args.fresh:
            remove_made(demo.data, MANIFEST)
            for name in SYSTEMS:
                remove_made(demo.run_folder(name), MARK)
        return _run(demo)


def _run(demo: Demo) -> int:
    from eureka_nlg.dialogue.demo import CORPUS

    start = time.monotonic()
    if not (demo.data / "manifest.json").exists():
        _say("prepare", f"{CORPUS}: dialogues to fairseq's binary format")
        _prepare(find_bundled(CORPUS), demo.data)
    names = demo.unfinished()
    if names:
        _say("train", "both losses at the same time, one core each; about four minutes on two free cores")
        for name in names:
            print(f"  eureka train {' '.join([demo.config(name), *demo.overrides(name)])}", flush=True)
        line = _ProgressLine()
        demo.train(names, line.update)
        line.end()
        _say("decode", "the replies to the test contexts, greedily, and the perplexity of the references")
        for name in names:
            demo.decode(name)
    else:
        print(f"The trainings in {demo.folder} are finished already; --fresh trains again.", flush=True)
    _show(demo, time.monotonic() - start)
    return 0


def _prepare(corpus: Path, out: Path) -> None:
    from eureka_nlg.cli import prepare

    parser = argparse.ArgumentParser()
    prepare.add_arguments(parser)
    prepare.run(parser.parse_args([str(corpus), "--out", str(out), "--history-turns", "1"]))


def _say(step: str, text: str) -> None:
    print(f"\n== {step}: {text}", flush=True)


class _ProgressLine:
    """How far the trainings are: a line that is overwritten on a terminal, else a new line now and then."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._last = self._start
        self._terminal = sys.stderr.isatty()

    def update(self, done: dict[str, float], total: float) -> None:
        """Show how many epochs each system has done, out of how many."""
        now = time.monotonic()
        if not self._terminal and now - self._last < _SECONDS_BETWEEN_LINES:
            return
        self._last = now
        passed = now - self._start
        epochs = ", ".join(f"{name} epoch {epoch:.1f}" for name, epoch in done.items())
        slowest = min(done.values())
        left = f", about {passed * (total - slowest) / slowest:.0f} s left" if slowest > 0.3 else ""
        text = f"  {epochs} of {total:.0f}, {passed:.0f} s{left}"
        print(
            f"\r{text:<79}" if self._terminal else text,
            end="" if self._terminal else "\n",
            file=sys.stderr,
            flush=True,
        )

    def end(self) -> None:
        """Leave the line as it is."""
        if self._terminal:
            print(file=sys.stderr)


def _show(demo: object, seconds: float) -> None:
    """Print the scores, some replies, and where everything is."""
    from eureka_nlg.dialogue.demo import SYSTEMS, Demo
    from eureka_nlg.metrics import score_replies, score_table

    assert isinstance(demo, Demo)
    references = _lines(demo.data / "references/test.txt")
    _say("scores", f"{len(references)} test replies")
    contexts = _lines(demo.data / "contexts/test.txt")
    replies = {name: _lines(demo.replies(name)) for name in SYSTEMS}
    scores = {
        name: {**score_replies(replies[name], references).scores, "ppl": demo.perplexity(name)}
        for name in SYSTEMS
    }
    write_json(demo.folder / "scores.json", scores)
    print(score_table(scores, ["macro_f", "micro_f", "diversity_4", "ppl"]))
    _say("likelihood", "mean probability (%) of the right word, by its frequency in training")
    likelihoods = {name: demo.likelihoods(name) for name in SYSTEMS}
    print("\n".join(likelihood_lines(likelihoods)))
    _say(
        "replies",
        f"to the longest-reference context of each of {_NUM_CONTEXTS} parts of the test set",
    )
    part = len(references) // _NUM_CONTEXTS
    for first in range(0, _NUM_CONTEXTS * part, part):
        index = max(range(first, first + part), key=lambda number: len(references[number].split()))
        print(_wrapped("context", contexts[index]))
        for name in SYSTEMS:
            print(_wrapped(name, replies[name][index]))
        print(_wrapped("reference", references[index]) + "\n")
    runs = " ".join(str(demo.run_folder(name)) for name in SYSTEMS)
    print("One seed on a made-up corpus: the scores show that everything works, not which loss is better.")
    print(f"Models, logs, replies, data and scores are in {demo.folder}; this took {seconds:.0f} seconds.")
    print(f"next: eureka report {runs} --out {demo.folder / 'report.html'}, or eureka chat {runs}")


def likelihood_lines(likelihoods: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A table of the likelihoods of two systems by band, and the sentence that says what it shows.

    >>> likelihoods = {"CE": {"head": 70.1, "tail": 40.0}, "EL": {"head": 70.0, "tail": 44.2}}
    >>> for line in likelihood_lines(likelihoods):
    ...     print(line)
                        CE        EL
    head              70.1      70.0
    tail              40.0      44.2
    EL minus CE, in points: +4.2 for the rarest words (tail), -0.1 for the most frequent (head).
    """
    first, second = likelihoods
    bands = [band for band in likelihoods[first] if band in likelihoods[second]]
    rows = [(band, *(f"{values[band]:.1f}" for values in likelihoods.values())) for band in bands]
    rare, frequent = (likelihoods[second][band] - likelihoods[first][band] for band in (bands[-1], bands[0]))
    return [
        *(f"{name:<12}{left:>10}{right:>10}" for name, left, right in [("", first, second), *rows]),
        f"{second} minus {first}, in points: {rare:+.1f} for the rarest words ({bands[-1]}), "
        f"{frequent:+.1f} for the most frequent ({bands[0]}).",
    ]


def _wrapped(label: str, text: str) -> str:
    indent = " " * 11
    return textwrap.fill(text, 100, initial_indent=f"{label:>9}  ", subsequent_indent=indent)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]

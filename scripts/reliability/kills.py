#!/usr/bin/env python
"""kill -9 at random moments of each command; the same command again must end as if nothing had happened.

    python scripts/reliability/kills.py                                    eight commands, 20 kills each
    python scripts/reliability/kills.py train report --kills 100 --seed 3
    python scripts/reliability/kills.py --json kills.json

Makes its own tiny data. Each command is run twice to its end, undisturbed: both must leave the same, or there
is nothing to compare with. Then it is killed (SIGKILL, with all that it started) at a moment drawn from the
time that it works, and given again. After the kill every output is whole or absent; after the second command
the folder holds what the undisturbed one left: weights, optimiser, epoch, step and random state bit for bit,
other files byte for byte, without what measures time, and nothing else. Takes about a quarter of an hour.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import forked_commands
from commands import CASES, Places, differences, halves

from eureka_nlg.files import write_json


@dataclass
class Kill:
    """One kill and its outcome.

    Attributes:
        seconds: of work before the kill.
        halves: names of files that were neither whole nor absent after it.
        status: of the command that was given again.
        differences: of the folder from the undisturbed one, in the end.
    """

    seconds: float
    halves: list[str] = field(default_factory=list)
    status: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not self.halves and self.status == 0 and not self.differences


def kill_once(places: Places, name: str, seconds: float, expected: Path) -> Kill | None:
    """Kill the command once and give it again; None if it had ended by then."""
    case, place = CASES[name], places.place
    if case.run(places.fresh(case), seconds).status != -9:
        return None
    kill = Kill(seconds, halves(place, expected))
    if name == "prepare" and (place / "out").exists():
        kill.halves += differences(place / "out", expected / "out")
        return kill  # whole already: given again it would be refused
    done = case.run(place)
    kill.status = done.status
    if done.status:
        kill.differences.append(done.output[-700:] + done.errors[-4000:])
    kill.differences += differences(place, expected)
    return kill


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill what is asked for, print the table, write the JSON; 1 if anything was lost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "commands", nargs="*", metavar="COMMAND", help=f"of {', '.join(CASES)}; all by default"
    )
    parser.add_argument("--kills", type=int, default=20, help="of each command (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write every kill there")
    args = parser.parse_args(arguments)
    if unknown := sorted(set(args.commands) - CASES.keys()):
        parser.error(f"no command {', '.join(unknown)}; expected some of {', '.join(CASES)}")
    os.environ["OMP_NUM_THREADS"] = "1"
    forked_commands.import_everything()
    results: dict[str, Any] = {}
    print(
        "| command | works for, s | killed | outputs in halves | ended otherwise |\n|---|---|---|---|---|",
        flush=True,
    )
    with forked_commands.temporary_folder() as folder:
        places = Places(folder)
        places.make(args.commands or CASES)
        for name in args.commands or CASES:
            expected, seconds = places.undisturbed(name)
            moments = random.Random(f"{args.seed} {name}")
            kills: list[Kill] = []
            while len(kills) < args.kills:
                kill = kill_once(places, name, moments.uniform(0, seconds), expected)
                if kill is None:
                    continue
                kills.append(kill)
                results[name] = {"seconds": seconds, "kills": [asdict(kill) for kill in kills]}
                if args.json is not None:  # what has been done stays, however this ends
                    write_json(args.json, {"seed": args.seed, "commands": results}, indent=1)
                if not kill.is_good:
                    print(
                        f"{name}, killed after {kill.seconds:.3f} s: {asdict(kill)}",
                        file=sys.stderr,
                        flush=True,
                    )
            in_halves = sum(bool(kill.halves) for kill in kills)
            otherwise = sum(bool(kill.status or kill.differences) for kill in kills)
            print(f"| {name} | {seconds:.1f} | {len(kills)} | {in_halves} | {otherwise} |", flush=True)
    bad = any(
        kill["halves"] or kill["status"] or kill["differences"]
        for result in results.values()
        for kill in result["kills"]
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

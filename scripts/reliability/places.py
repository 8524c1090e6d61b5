#!/usr/bin/env python
"""The main commands in unusual surroundings: each has to succeed in all of them.

    sudo python scripts/reliability/places.py
    sudo python scripts/reliability/places.py "no /dev/shm" --json places.json

Some places need root: sources that are mounted read-only, another user, a machine without shared memory. The
other user has to be able to read the interpreter and all packages. An ordinary user can run the places that
need no root. In all of them the home folder does not exist and cannot be made. For the locale a new
interpreter is started, since that is when it is looked at.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import forked_commands
import tiny

from eureka_nlg.files import write_json

_NEW_MOUNTS = 0x00020000  # CLONE_NEWNS of <sched.h>
_NOBODY = 65534
_NOWHERE = "/proc/nowhere"  # a folder that nobody can make


@dataclass(frozen=True)
class Place:
    """Where the commands run.

    Attributes:
        folder: name of their folder.
        enter: done in the process before the command.
        cwd: where they run, if it is not their folder; all paths are absolute then.
        fresh: a new interpreter, with this in its environment.
    """

    folder: str = "place"
    enter: Callable[[], None] = lambda: None
    cwd: str | None = None
    fresh: tuple[tuple[str, str], ...] = ()


def _without_home() -> None:
    for name in ("HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        os.environ.pop(name, None)


def _as_nobody() -> None:
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)


def _nobody_can_read() -> bool:
    """Whether the other user can read what runs here."""

    def look() -> None:
        _as_nobody()
        for path in (sys.executable, os.__file__, tiny.__file__):
            open(os.path.realpath(path), "rb").close()

    with open(os.devnull, "wb") as null:
        saved = os.dup(2)
        os.dup2(null.fileno(), 2)
        try:
            return forked_commands.wait_for(forked_commands.fork(look)) == 0
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def _mount(*arguments: str) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "no mounts of its own (that needs root)")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", *arguments], check=True)


def _with_read_only_sources() -> None:
    _mount("--bind", str(tiny.ROOT), str(tiny.ROOT))
    subprocess.run(["mount", "-o", "remount,bind,ro", str(tiny.ROOT)], check=True)


def _without_shared_memory() -> None:
    _mount("-t", "tmpfs", "-o", "ro", "none", "/dev/shm")


PLACES = {
    "another working folder": Place(cwd="/"),
    "blanks, umlauts and a line break in the path": Place(folder="a b, ü 日本\nc"),
    "HOME unset": Place(enter=_without_home),
    "read-only sources": Place(enter=_with_read_only_sources),
    "an ordinary user without a home": Place(enter=_as_nobody),
    "no /dev/shm": Place(enter=_without_shared_memory),
    "LC_ALL=C": Place(
        fresh=(("LC_ALL", "C"), ("LANG", "C"), ("PYTHONCOERCECLOCALE", "0"), ("PYTHONUTF8", "0"))
    ),
}
COMMANDS = {
    "prepare": "prepare {corpus} --out {out} --history-turns 1 --workers 2",
    "train": "train {dialogue.yaml} data={data} save_dir={run} max_epoch=1 num_workers=1",
    "generate": "generate {run} --split valid --max-len-b 10",
    "evaluate": "evaluate --hypotheses {run/replies.valid.txt} --references {data/references/valid.txt}",
    "analyse": "analyse {run} --splits valid --out {analysis.json}",
    "report": "report {run} --split valid --out {report.html}",
    "vision": "vision train {images.yaml} data.source={images} save_dir={vision} training.epochs=2 "
    "training.keep_epochs=[] training.milestones=[1] deferral.plain_epochs=1 data.workers=1",
    "vision evaluate": "vision evaluate {vision} --json {accuracies.json}",
    "finetune": "finetune {finetune.yaml} model={model} data={messages} output_dir={finetuned} max_steps=2",
}
_IN_C = ("prepare", "evaluate")  # of those that start an interpreter each time


def _words(command: str, base: str) -> list[str]:
    """Arguments of a command, with ``{path}`` below a folder."""
    words = []
    for word in command.split():
        before, brace, rest = word.partition("{")
        path, _, after = rest.partition("}")
        words.append(before + os.path.join(base, path) + after if brace else word)
    return words


def run(place: Place, command: str, folder: Path) -> tuple[int, str]:
    """Run a command in a place; its status and what it said."""
    words = ["-m", "eureka_nlg.cli.main", *_words(command, str(folder) if place.cwd else "")]
    cwd = place.cwd or str(folder)
    if place.fresh:
        environment = {**os.environ, **dict(place.fresh), "PYTHONPATH": str(tiny.ROOT)}
        done = subprocess.run(
            [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, check=False
        )
        return done.returncode, done.stderr.decode(errors="replace")
    log = folder / "log"
    log.write_bytes(b"")
    log.chmod(0o666)

    def enter_and_run() -> None:
        place.enter()
        forked_commands.forked.become(words, cwd, log, log)

    status = forked_commands.wait_for(forked_commands.fork(enter_and_run))
    return status, log.read_text(errors="replace")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the commands in the places that are asked for; 1 if one did not end well."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("places", nargs="*", metavar="PLACE", help=f"of {'; '.join(PLACES)}")
    parser.add_argument("--json", type=Path, help="also write the result there")
    args = parser.parse_args(arguments)
    if unknown := sorted(set(args.places) - PLACES.keys()):
        parser.error(f"no place {'; '.join(unknown)}; expected some of {'; '.join(PLACES)}")
    others = [name for name in args.places or PLACES if PLACES[name].enter is _as_nobody]
    if others and not _nobody_can_read():
        parser.error(
            f"{others[0]}: user {_NOBODY} cannot read {os.path.realpath(sys.executable)} or {tiny.ROOT}: run "
            "this with an interpreter, an environment and a checkout that everybody can read, or leave this "
            "place out"
        )
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["HOME"] = _NOWHERE  # looked at when libraries are imported
    forked_commands.import_everything()
    results: dict[str, dict[str, str]] = {}
    print("| place | ended well | not |\n|---|---|---|", flush=True)
    with forked_commands.temporary_folder() as world:
        world.chmod(0o755)
        tiny.make(world)
        for name in args.places or PLACES:
            place = PLACES[name]
            folder = world / "places" / str(len(results)) / place.folder
            folder.mkdir(parents=True)
            for each in ("corpus", "data", "messages", "images", "model"):
                shutil.copytree(world / each, folder / each)
            for each in ("dialogue", "images", "finetune"):
                shutil.copy2(world / f"{each}.yaml", folder)
            for path in (folder, *folder.rglob("*")):
                os.chown(path, _NOBODY, _NOBODY) if place.enter is _as_nobody else None
            found = {}
            for command, line in COMMANDS.items():
                if place.fresh and command not in _IN_C:
                    continue
                if place.fresh and command == "evaluate":
                    line = line.replace("{run/replies.valid.txt}", "{data/references/valid.txt}")
                status, said = run(place, line, folder)
                found[command] = "" if status == 0 else f"{status}: {said[-1000:]}"
                if status:
                    print(f"{name}, {command}: {found[command]}", file=sys.stderr, flush=True)
            results[name] = found
            bad = [command for command, said in found.items() if said]
            print(f"| {name} | {len(found) - len(bad)} of {len(found)} | {', '.join(bad)} |", flush=True)
            if args.json is not None:
                write_json(args.json, results, indent=1)
    return int(any(said for found in results.values() for said in found.values()))


if __name__ == "__main__":
    sys.exit(main())

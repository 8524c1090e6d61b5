#!/usr/bin/env python
"""A disk that fills up, becomes read-only or disappears under each command: one line of error, nothing lost.

    sudo python scripts/reliability/full_disks.py                     every command, on a disk of 24 MB
    sudo python scripts/reliability/full_disks.py train report --json full_disks.json

Needs root and mkfs.ext4, for a disk in a file. Each command runs on it five times with less room than it
needs, once where nothing can be written, and twice while the disk goes away at a random moment (every access
is an input/output error from then on). It has to end with status 2 and one line that says so, or well where
it did not matter; outputs are whole or as they were, with nothing beside them. Then the disk is mended, and
the same command given again: it leaves what an undisturbed one does.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import random
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import forked_commands
from commands import CASES, Places, differences, halves

from eureka_nlg.files import write_json

_SIZE = 24 << 20
_SHUTDOWN, _WITHOUT_LOG = 0x8004587D, 2  # EXT4_IOC_SHUTDOWN and EXT4_GOING_FLAGS_NOLOGFLUSH
_FULL = (0.0, 0.2, 0.5, 0.8, 0.95)  # of the room that the command needs


class Disk:
    """An ext4 file system in a file, mounted.

    Args:
        folder: for the file and the mount point.
    """

    def __init__(self, folder: Path) -> None:
        self.image, self.mount = folder / "image", folder / "disk"
        self.mount.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(_SIZE)
        _run("mkfs.ext4", "-q", "-m", "0", str(self.image))
        _run("mount", "-o", "loop", str(self.image), str(self.mount))

    def end(self) -> None:
        subprocess.run(["umount", "-l", str(self.mount)], check=False)

    def room(self) -> int:
        """Bytes that are free."""
        found = os.statvfs(self.mount)
        return found.f_bavail * found.f_frsize

    @contextmanager
    def filled(self, left: int) -> Iterator[None]:
        """No more room than so many bytes."""
        ballast = self.mount / "ballast"
        with open(ballast, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, self.room() - left - 8192))
            with suppress(OSError):
                while self.room() > left:
                    os.write(file.fileno(), bytes(4096))
        try:
            yield
        finally:
            ballast.unlink()

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Nothing can be written."""
        _run("mount", "-o", "remount,ro", str(self.mount))
        try:
            yield
        finally:
            _run("mount", "-o", "remount,rw", str(self.mount))

    @contextmanager
    def gone_after(self, seconds: float) -> Iterator[None]:
        """Every access is an error until the block ends."""
        os.sync()
        timer = threading.Timer(seconds, self._shut_down)
        timer.start()
        try:
            yield
        finally:
            timer.join()
            _run("umount", str(self.mount))
            _run("mount", "-o", "loop", str(self.image), str(self.mount))

    def _shut_down(self) -> None:
        descriptor = os.open(self.mount, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _WITHOUT_LOG))
        finally:
            os.close(descriptor)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


@dataclass
class Fault:
    """A command on a bad disk.

    Attributes:
        what: was bad.
        status, said: of the command.
        halves: files that were neither whole nor as before, and what was left beside them.
        differences: after the same command on the mended disk.
    """

    what: str
    status: int = 0
    said: str = ""
    halves: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not self.halves and not self.differences and not _wrong(self.status, self.said)


def _wrong(status: int, said: str) -> bool:
    if status == 0:
        return False
    errors = [line for line in said.splitlines() if "error:" in line]
    return status not in (1, 2) or len(errors) != 1 or "Traceback" in said


def meet(places: Places, disk: Disk, name: str, expected: Path, what: str, fault: Any) -> Fault:
    """Run the command on a bad disk, then on the mended one."""
    case = CASES[name]
    found = Fault(what)
    before = set(places.fresh(case).rglob("*"))
    with fault:
        done = case.run(places.place)
    found.status, found.said = done.status, done.errors[-3000:]
    lost = what.startswith("gone")
    rubbish = [path for path in set(places.place.rglob("*")) - before if _is_rubbish(path)]
    found.halves = [f"{path.name}: left" for path in rubbish if not lost] + halves(places.place, expected)
    if done.status == 0 and name == "prepare":
        found.differences = differences(places.place, expected)
        return found
    done = case.run(places.place)
    if done.status:
        found.differences.append((done.errors + done.output)[-1500:])
    found.differences += differences(places.place, expected)
    return found


def _is_rubbish(path: Path) -> bool:
    return path.name.endswith((".partial", ".tmp", ".old"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Meet all faults with the commands that are asked for; 1 if one of them did not end as it has to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "commands", nargs="*", metavar="COMMAND", help=f"of {', '.join(CASES)}; all by default"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write every fault there")
    args = parser.parse_args(arguments)
    if os.geteuid():
        parser.error("needs root, to mount a disk of its own")
    os.environ["OMP_NUM_THREADS"] = "1"
    forked_commands.import_everything()
    results: dict[str, Any] = {}
    print("| command | full | read-only | gone | not as it has to be |\n|---|---|---|---|---|", flush=True)
    with forked_commands.temporary_folder() as folder:
        disk = Disk(folder)
        try:
            places = Places(folder, disk.mount / "place")
            places.make(args.commands or CASES)
            for name in args.commands or CASES:
                expected, seconds = places.undisturbed(name)
                needed = sum(path.stat().st_size for path in expected.rglob("*") if path.is_file())
                places.fresh(CASES[name])
                needed -= sum(path.stat().st_size for path in places.place.rglob("*") if path.is_file())
                moments = random.Random(f"{args.seed} {name}")
                faults = [(f"full, {share:.0%}", disk.filled(int(share * needed))) for share in _FULL]
                faults.append(("read-only", disk.read_only()))
                for _ in range(2):
                    moment = moments.uniform(0, seconds)
                    faults.append((f"gone after {moment:.2f} s", disk.gone_after(moment)))
                found = []
                for what, fault in faults:
                    found.append(meet(places, disk, name, expected, what, fault))
                    if not found[-1].is_good:
                        print(f"{name}: {asdict(found[-1])}", file=sys.stderr, flush=True)
                results[name] = [asdict(each) for each in found]
                bad = sum(not each.is_good for each in found)
                print(f"| {name} | {len(_FULL)} | 1 | 2 | {bad} |", flush=True)
                if args.json is not None:
                    write_json(args.json, results, indent=1)
        finally:
            disk.end()
    return int(any(not Fault(**each).is_good for result in results.values() for each in result))


if __name__ == "__main__":
    sys.exit(main())

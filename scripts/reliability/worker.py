"""One target in this process: makes inputs, reads them, and watches what happens besides."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from targets.base import Refused, Target

__all__ = ["work"]

_SECONDS, _BYTES = 20, 1 << 30  # for one input
_MOST_FAULTS = 30
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_HARMLESS = ("/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty", "/dev/shm", "/proc/self")
_CHANGES = {"os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.chmod", "shutil.rmtree"}
_CHANGES_BOTH = {"os.rename", "os.link", "os.symlink"}
_NEVER = {"os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect", "webbrowser.open"}


class _TooLong(BaseException):
    """Not an Exception: a reader that catches these must not catch it."""


class _Fault(Exception):
    pass


def work(target: Target, seed: int, start: int, inputs: int, seconds: float, keep: Path) -> int:
    """Read inputs of a target, and write a report that says how far it came every second.

    Returns:
        0, also if faults were found: the report tells.
    """
    root = Path.cwd()
    given = root / "given"
    given.mkdir()
    os.chdir(given)
    one = target.prepare(root / "seeds")
    with contextlib.suppress(Exception):
        one(random.Random(0))  # what it imports takes long, and may write its own files
    precious = {path: path.read_bytes() for path in (root / "seeds").rglob("*") if path.is_file()}
    stamps = {path: _stamp(path) for path in precious}
    outside = _watch(root)
    report: dict[str, Any] = {"inputs": 0, "read": 0, "refused": 0, "next": start, "done": False}
    report["faults"] = []
    seen: set[str] = set()
    signal.signal(signal.SIGPROF, _too_long)
    began = written = time.monotonic()
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    for number in range(start, start + inputs):
        report["next"] = number
        if time.monotonic() - written > 1 or number == start:
            written = time.monotonic()
            _write(root, report)
        if not target.in_memory or number == start:
            for entry in os.scandir(given):
                shutil.rmtree(entry) if entry.is_dir(follow_symlinks=False) else os.unlink(entry)
        if not target.in_memory or number % 100 == 0:  # of processor time: the machine may be busy
            signal.setitimer(signal.ITIMER_PROF, _SECONDS)
        at = time.monotonic()
        pick = random.Random(f"{target.name} {seed} {number}")
        try:
            try:
                one(pick)
                report["read"] += 1
            except Refused as refused:
                report["refused"] += 1
                _check(str(refused))
            if time.monotonic() - at > 0.05:  # memory takes time, and the question some too
                used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
                if used - base > _BYTES:
                    base = used
                    raise _Fault(f"more than {_BYTES:,} bytes")
            if outside:
                raise _Fault(f"outside of its folder: {outside[0]}")
            if not target.in_memory and (os.path.exists("hacked") or os.path.exists("../hacked")):
                raise _Fault("code in it was run")
            for path in stamps:
                if _stamp(path) != stamps[path]:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(precious[path])
                    stamps[path] = _stamp(path)
                    raise _Fault(f"{path.name} was changed")
        except (Exception, _TooLong, SystemExit) as error:
            (root / "hacked").unlink(missing_ok=True)
            place, shown = _place(error)
            if place not in seen:
                seen.add(place)
                kept = _keep(keep, f"{target.name}_{seed}_{number}", given)
                report["faults"].append(f"input {number}: {shown}; kept as {kept}")
            outside.clear()  # of the keeping too
        report["inputs"] += 1
        if len(seen) >= _MOST_FAULTS or time.monotonic() - began > seconds:
            break
    signal.setitimer(signal.ITIMER_PROF, 0)
    report["done"] = True
    report["next"] += 1
    _write(root, report)
    return 0


def _write(root: Path, report: dict[str, Any]) -> None:
    (root / "report.new").write_text(json.dumps(report))
    os.replace(root / "report.new", root / "report")


def _stamp(path: Path) -> Any:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _check(message: str) -> None:
    if not message or len(message) > 5000:
        raise _Fault(f"a message of {len(message):,} characters: {message[:200]}")


def _too_long(number: int, frame: FrameType | None) -> None:
    raise _TooLong(f"more than {_SECONDS} s")


def _place(error: BaseException) -> tuple[str, str]:
    """The kind of a fault (exception and innermost line of the project), and the same with its message."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame for frame in frames if "/eureka_nlg/" in frame.filename or "/fairseq_plugins/" in frame.filename
    ]
    last = (own or frames)[-1]
    name = "/".join(last.filename.split("/")[-3:])
    text = " ".join(str(error).split())[:160]
    if isinstance(error, _Fault):
        return text, text
    place = f"{type(error).__name__} at {name}:{last.lineno} in {last.name}"
    return place, f"{place}: {text}"


def _keep(keep: Path, name: str, given: Path) -> Path:
    kept = keep / name
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(given, kept, symlinks=True)
    (kept / "traceback.txt").write_text(traceback.format_exc(), errors="backslashreplace")
    return kept


def _watch(root: Path) -> list[str]:
    """Note every write, program and connection that is none of this folder."""
    outside: list[str] = []
    allowed = str(root.resolve())

    def is_outside(path: Any) -> bool:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return False
        text = os.path.abspath(os.fsdecode(path))
        return not text.startswith((allowed, *_HARMLESS))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = (isinstance(flags, int) and flags & _WRITES) or (
                isinstance(mode, str) and set(mode) & set("wax+")
            )
            if writes and is_outside(path):
                outside.append(f"open {path!r} {mode}")
        elif event in _CHANGES:
            if is_outside(arguments[0]):
                outside.append(f"{event} {arguments[0]!r}")
        elif event in _CHANGES_BOTH:
            if any(map(is_outside, arguments[event == "os.symlink" : 2])):
                outside.append(f"{event} {arguments!r}")
        elif event in _NEVER and not str(arguments[0]).endswith("ldconfig"):  # which ctypes asks
            outside.append(f"{event} {arguments!r}"[:200])

    sys.addaudithook(hook)
    return outside

#!/usr/bin/env python
"""Feed mutated input to every parser and to the command line, and count the outcomes.

    python scripts/reliability/fuzz.py --inputs 1000000 --seconds 3600
    python scripts/reliability/fuzz.py --list
    python scripts/reliability/fuzz.py --only yaml json --inputs 2000
    python scripts/reliability/fuzz.py --only yaml --start 4711 --inputs 1      the input of that number again

An input may be read, or refused by the project's own errors in a sentence. It is a fault if it ends in any
other exception, takes longer than 20 seconds or more than 1 GiB, kills the process, writes outside of the
folder that it was given, starts a program or a connection, changes a file that no output may replace, or runs
code that is in it. Each different fault is kept with its input and traceback in --keep; the exit status is 1.

Valid seeds are made here, of the project's own formats. The same --seed makes the same inputs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
_SILENT = 600  # seconds after which a process that does not answer is killed


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=1_000_000, help="in all (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=3600, help="at most, in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, metavar="NUMBER", help="of the first input")
    parser.add_argument("--only", nargs="+", metavar="TARGET")
    parser.add_argument("--list", action="store_true", help="the targets and their shares of the inputs")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="targets at the same time")
    parser.add_argument("--keep", type=Path, default=Path("fuzz_faults"), metavar="DIR")
    parser.add_argument("--worker", metavar="TARGET", help=argparse.SUPPRESS)
    args = parser.parse_args()
    sys.path[:0] = [str(HERE), str(HERE.parents[1])]
    from targets import TARGETS
    from targets.base import Target

    if args.worker:
        from worker import work

        target = next(target for target in TARGETS if target.name == args.worker)
        return work(target, args.seed, args.start, args.inputs, args.seconds, args.keep)
    chosen = [target for target in TARGETS if not args.only or target.name in args.only]
    if args.list:
        for target in chosen:
            print(f"{target.name:<22}{target.share:>6}  {target.what}")
        return 0
    shares = sum(target.share for target in chosen)
    times = sum(target.time for target in chosen)
    started, total, faults = time.monotonic(), 0, 0

    def run(target: Target) -> dict:
        inputs = max(1, round(args.inputs * target.share / shares))
        report = _run(target.name, args, inputs, args.seconds * args.jobs * target.time / times)
        counts = f"{report['inputs']:>9,} inputs {report['read']:>9,} read {report['refused']:>9,} refused"
        lines = [f"{target.name:<22}{counts} {report['seconds']:>7.0f} s  {len(report['faults'])} faults"]
        print("\n    ".join([*lines, *report["faults"]]), flush=True)
        return report

    with ThreadPoolExecutor(args.jobs) as pool:
        for report in pool.map(run, chosen):
            total += report["inputs"]
            faults += len(report["faults"])
    print(f"{total:,} inputs in {time.monotonic() - started:,.0f} s, {faults} different faults")
    return 1 if faults else 0


def _run(name: str, args: argparse.Namespace, inputs: int, seconds: float) -> dict:
    """Run a target in a process of its own, begun anew behind an input that killed it."""
    report = {"inputs": 0, "read": 0, "refused": 0, "seconds": 0.0, "faults": []}
    end = args.start + inputs
    start, left = args.start, seconds
    while start < end and left > 0:
        with tempfile.TemporaryDirectory(prefix="fuzz_") as folder:
            command = [sys.executable, __file__, "--worker", name, "--seed", str(args.seed)]
            command += ["--start", str(start), "--inputs", str(end - start), "--seconds", str(left)]
            command += ["--keep", str(args.keep.resolve())]
            environment = {**_environment(folder), "OMP_NUM_THREADS": "1"}
            output = Path(folder) / "report"
            began = time.monotonic()
            with open(Path(folder) / "log", "wb") as log:
                process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
                status = _waited(process, output)
            found = json.loads(output.read_text()) if output.exists() else None
            if found is None or (status and not found["done"]):
                number = start if found is None else found["next"]
                kept = args.keep / f"{name}_{args.seed}_{number}"
                shutil.rmtree(kept, ignore_errors=True)
                source = Path(folder) / "given"
                shutil.copytree(source, kept) if source.is_dir() else kept.mkdir(parents=True)
                shutil.copy(Path(folder) / "log", kept / "log")
                fault = f"input {number}: the process ended with {status}; kept as {kept}"
                if found is None:
                    return {**report, "faults": [*report["faults"], fault]}
                found["faults"].append(fault)
                found["next"] += 1
            for key in ("inputs", "read", "refused"):
                report[key] += found[key]
            report["faults"] += found["faults"]
            report["seconds"] += time.monotonic() - began
            start, left = found["next"], left - (time.monotonic() - began)
            if found["done"]:
                break
    return report


def _waited(process: subprocess.Popen, output: Path) -> int:
    """Wait, and kill what has not written its report for long."""
    began = time.time()
    while True:
        try:
            return process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            last = output.stat().st_mtime if output.exists() else began + 120
            if time.time() - last > _SILENT:
                process.kill()


def _environment(folder: str) -> dict[str, str]:
    """Caches and temporary files go into the folder too; nothing is fetched."""
    places = {name: folder for name in ("HOME", "TMPDIR", "HF_HOME", "MPLCONFIGDIR", "XDG_CACHE_HOME")}
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    quiet = {"PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "agg"}
    return {**os.environ, **places, **offline, **quiet}


if __name__ == "__main__":
    sys.exit(main())

"""What the benchmarks share: alternating timings, peak memory, rows that say where they were measured.

These machines drift, so candidates take turns within one run, and a ratio is the median over the rounds of
the ratio within a round.
"""

from __future__ import annotations

import csv
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

__all__ = ["allocator", "alternate", "append", "environment", "peak_megabytes", "summary", "synchronize"]


def alternate(
    candidates: Mapping[str, Callable[[], Any]],
    rounds: int,
    device: str = "cpu",
    processor: dict[str, list[float]] | None = None,
) -> dict[str, list[float]]:
    """Milliseconds of each candidate, ``rounds`` of them, after two rounds of warming up.

    ``processor`` receives the same in processor time, which other programs disturb less.
    """
    milliseconds: dict[str, list[float]] = {name: [] for name in candidates}
    names = list(candidates)
    for number in range(rounds + 2):
        for name in names[:: 1 if number % 2 else -1]:
            synchronize(device)
            start, spent = time.perf_counter(), time.process_time()
            candidates[name]()
            synchronize(device)
            if number >= 2:
                milliseconds[name].append(1000 * (time.perf_counter() - start))
                if processor is not None:
                    processor.setdefault(name, []).append(1000 * (time.process_time() - spent))
    return milliseconds


def summary(
    milliseconds: Mapping[str, list[float]],
    baseline: str,
    processor: Mapping[str, list[float]] | None = None,
) -> dict[str, dict[str, float]]:
    """Per candidate: median, interquartile range, and the median ratio to the baseline.

    With times of the processor from :func:`alternate`, also the median ratio of these.
    """
    result = {}
    for name, times in milliseconds.items():
        low, median, high = statistics.quantiles(times, n=4)
        result[name] = {
            "median_ms": round(median, 3),
            "iqr_ms": round(high - low, 3),
            "ratio": _ratio(times, milliseconds[baseline]),
        }
        if processor is not None:
            result[name]["processor_ratio"] = _ratio(processor[name], processor[baseline])
    return result


def _ratio(times: list[float], others: list[float]) -> float:
    return round(statistics.median(mine / other for mine, other in zip(times, others)), 3)


def peak_megabytes(call: Callable[[], Any], device: str = "cpu") -> float:
    """How far memory rises above where it is now while the call runs, in MB of 10**6 bytes.

    On a CPU this is resident memory as Linux counts it, so it includes what allocators keep.
    """
    call()  # what is loaded or cached at a first call is not meant
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():
        return float("nan")
    before = _status("VmRSS")
    reset.write_text("5")
    call()
    return (_status("VmHWM") - before) / 1e6


def environment(device: str = "cpu") -> dict[str, Any]:
    """Where this is measured: columns of every row."""
    return {
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if device == "cuda" else _cpu_name(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def allocator() -> str:
    """Whether glibc was asked to keep memory that is freed, or gives large pieces back to the system.

    Fresh memory comes page by page at its first touch, which can take longer than all arithmetic. A training
    that keeps it is started with ``MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=4294967296``.
    """
    limits = (os.environ.get(f"MALLOC_{name}_THRESHOLD_", "0") for name in ("MMAP", "TRIM"))
    return "keeps memory" if all(int(limit) >= 1 << 32 for limit in limits) else "default"


def append(path: str | os.PathLike[str], rows: list[dict[str, Any]]) -> None:
    """Append rows to a CSV file, with a header if it is new."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    if not is_new:
        with path.open(newline="", encoding="utf-8") as file:
            if next(csv.reader(file)) != list(rows[0]):
                raise SystemExit(f"{path}: has other columns: write to another file")
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerows(rows)


def synchronize(device: str) -> None:
    """Wait for the device."""
    if device == "cuda":
        torch.cuda.synchronize()


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _cpu_name() -> str:
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    return f"{name}, {os.cpu_count()} cores"

"""A training step of fairseq with `--criterion eureka` beside `label_smoothed_cross_entropy`.

    python benchmarks/criterion_step.py data-bin/convai2 --out benchmarks/results/criterion_step.csv

Same model, same batches, forward and backward, the criterions alternating batch by batch within one process,
because machines drift. Rows hold medians in milliseconds and the interquartile range; `ratio` is the median
of the ratios of neighbouring steps. Optimiser and data loading are the same for both and left out.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import platform
import statistics
import sys
import time
from pathlib import Path

import torch
from fairseq import options, tasks, utils
from fairseq.dataclass.utils import convert_namespace_to_omegaconf

from eureka_nlg.dialogue.plugin import plugin_dir

BASELINE = "label_smoothed_cross_entropy"
CRITERIONS = {BASELINE: [], "eureka": ["--encouragement-start-epoch", "1"]}


def main() -> None:
    """Time the steps and write a row for each criterion."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="fairseq data folder")
    parser.add_argument("--hidden", type=int, default=256, help="hidden size of the LSTMs")
    parser.add_argument("--embedding", type=int, default=256, help="width of the embeddings")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--label-smoothing", type=float, default=0.1)
    parser.add_argument("--batches", type=int, default=20, help="different batches")
    parser.add_argument("--rounds", type=int, default=3, help="times over the batches")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", help="CSV file to append to")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"

    config = configuration(args, BASELINE)
    utils.import_user_module(config.common)
    torch.manual_seed(1)
    task = tasks.setup_task(config.task)
    model = task.build_model(config.model).to(device).train()
    task.load_dataset("train")
    criterions = {
        name: task.build_criterion(configuration(args, name).criterion).to(device).train()
        for name in CRITERIONS
    }
    task.begin_epoch(1, model)
    iterator = task.get_batch_iterator(task.dataset("train"), max_sentences=args.batch_size, seed=1)
    batches = list(itertools.islice(iterator.next_epoch_itr(shuffle=True), args.batches))
    if device == "cuda":
        batches = [utils.move_to_cuda(batch) for batch in batches]

    milliseconds: dict[str, list[float]] = {name: [] for name in criterions}
    for criterion in criterions.values():  # warm up
        step(model, criterion, batches[0], device)
    for round_, batch in itertools.product(range(args.rounds), batches):
        for name in list(criterions)[:: 1 if round_ % 2 else -1]:
            milliseconds[name].append(step(model, criterions[name], batch, device))

    rows = []
    for name, times in milliseconds.items():
        low, median, high = statistics.quantiles(times, n=4)
        ratio = statistics.median(mine / other for mine, other in zip(times, milliseconds[BASELINE]))
        rows.append(
            {
                "criterion": name,
                "median_ms": round(median, 1),
                "iqr_ms": round(high - low, 1),
                "ratio": round(ratio, 3),
                "steps": len(times),
                "hidden": args.hidden,
                "batch_size": args.batch_size,
                "label_smoothing": args.label_smoothing,
                "classes": len(task.target_dictionary),
                "threads": args.threads,
                "device": torch.cuda.get_device_name() if device == "cuda" else cpu_name(),
                "torch": torch.__version__,
                "python": platform.python_version(),
            }
        )
        print(f"{name:>30}  {median:8.1f} ms  (interquartile range {high - low:.1f})  ratio {ratio:.3f}")
    if args.out:
        append(Path(args.out), rows)


def configuration(args: argparse.Namespace, criterion: str):
    """fairseq's configuration of a training with this criterion."""
    sys.argv = [sys.argv[0], "--user-dir", plugin_dir()]  # fairseq's parser looks there
    arguments = [args.data, "--user-dir", plugin_dir(), "--arch", "lstm_convai2", "--dropout", "0.2"]
    arguments += ["--encoder-hidden-size", str(args.hidden), "--encoder-embed-dim", str(args.embedding)]
    arguments += [
        "--criterion",
        criterion,
        "--label-smoothing",
        str(args.label_smoothing),
        *CRITERIONS[criterion],
    ]
    return convert_namespace_to_omegaconf(
        options.parse_args_and_arch(options.get_training_parser(), arguments)
    )


def step(model, criterion, batch, device: str) -> float:
    """Milliseconds of a forward and backward pass."""
    model.zero_grad(set_to_none=True)
    synchronize(device)
    start = time.perf_counter()
    loss, _, _ = criterion(model, batch)
    loss.backward()
    synchronize(device)
    return 1000 * (time.perf_counter() - start)


def synchronize(device: str) -> None:
    """Wait for the device."""
    if device == "cuda":
        torch.cuda.synchronize()


def cpu_name() -> str:
    """Model of the processor, and how many cores this process may use."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    return f"{name}, {os.cpu_count()} cores"


def append(path: Path, rows: list[dict[str, object]]) -> None:
    """Append the rows, with a header in a new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

"""A training step of fairseq with `--criterion eureka` beside `label_smoothed_cross_entropy`.

    python benchmarks/criterion_step.py data-bin/convai2 --out benchmarks/results/criterion_step.csv

Same model, same batches, forward and backward, the criterions alternating batch by batch within one process,
because machines drift. Rows hold medians in milliseconds and the interquartile range; `ratio` is the median
of the ratios of neighbouring steps, `peak_mb` how far memory rises in a step. Optimiser and data loading are
the same for all and left out.
"""

from __future__ import annotations

import argparse
import itertools
import sys

import torch
from fairseq import options, tasks, utils
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from measure import alternate, append, environment, peak_megabytes, summary

from eureka_nlg.dialogue.plugin import plugin_dir

BASELINE = "label_smoothed_cross_entropy"
EUREKA = ["--encouragement-start-epoch", "1"]
CRITERIONS = {BASELINE: [], "eureka": EUREKA, "eureka --fused-linear": [*EUREKA, "--fused-linear"]}


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
    parser.add_argument("--rounds", type=int, default=3, help="how often each batch is used")
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

    queue = {name: itertools.cycle(batches) for name in criterions}
    calls = {
        name: lambda criterion=criterion, batches=queue[name]: step(model, criterion, next(batches))
        for name, criterion in criterions.items()
    }
    numbers = summary(alternate(calls, args.rounds * len(batches), device), BASELINE)
    largest = max(batches, key=lambda batch: batch["ntokens"])
    rows = []
    for name, criterion in criterions.items():
        model.zero_grad(set_to_none=True)
        peak = peak_megabytes(lambda criterion=criterion: step(model, criterion, largest), device)
        rows.append(
            {
                "criterion": name,
                **numbers[name],
                "peak_mb": round(peak, 1),
                "steps": args.rounds * len(batches),
                "hidden": args.hidden,
                "batch_size": args.batch_size,
                "label_smoothing": args.label_smoothing,
                "classes": len(task.target_dictionary),
                **environment(device),
            }
        )
        print(
            f"{name:>30}  {numbers[name]['median_ms']:8.1f} ms  (interquartile range "
            f"{numbers[name]['iqr_ms']:.1f})  ratio {numbers[name]['ratio']:.3f}  peak {peak:.0f} MB"
        )
    if args.out:
        append(args.out, rows)


def configuration(args: argparse.Namespace, criterion: str, *more: str):
    """fairseq's configuration of a training with this criterion, and more options."""
    sys.argv = [sys.argv[0], "--user-dir", plugin_dir()]  # fairseq's parser looks there
    arguments = [args.data, "--user-dir", plugin_dir(), "--arch", "lstm_convai2", "--dropout", "0.2"]
    arguments += ["--encoder-hidden-size", str(args.hidden), "--encoder-embed-dim", str(args.embedding)]
    arguments += [
        "--criterion",
        criterion.partition(" ")[0],
        "--label-smoothing",
        str(args.label_smoothing),
        *CRITERIONS[criterion],
        *more,
    ]
    return convert_namespace_to_omegaconf(
        options.parse_args_and_arch(options.get_training_parser(), arguments)
    )


def step(model, criterion, batch) -> None:
    """A forward and backward pass."""
    model.zero_grad(set_to_none=True)
    loss, _, _ = criterion(model, batch)
    loss.backward()


if __name__ == "__main__":
    main()

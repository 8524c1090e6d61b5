"""A training step of `lstm_convai2` with fairseq's decoder, which feeds its input, and with the parallel one.

    python benchmarks/decoder_step.py data-bin/convai2_small --out benchmarks/results/decoder_step.csv

Same criterion (`eureka --fused-linear`), same batches, forward and backward, decoders alternating batch by
batch within one process. Columns as in criterion_step.py.
"""

from __future__ import annotations

import argparse
import itertools

import torch
from criterion_step import configuration, step
from fairseq import tasks, utils
from measure import alternate, append, environment, summary

DECODERS = {
    "input feeding": ("--input-feeding", "1"),
    "parallel": ("--input-feeding", "0"),
    "parallel, residual encoder": ("--input-feeding", "0", "--encoder-residual", "1"),
}


def main() -> None:
    """Time the steps and write a row for each decoder and dtype."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="fairseq data folder")
    parser.add_argument("--hidden", type=int, default=128, help="hidden size of the LSTMs")
    parser.add_argument("--embedding", type=int, default=128, help="width of the embeddings")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--batches", type=int, default=15, help="different batches")
    parser.add_argument("--rounds", type=int, default=2, help="how often each batch is used")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", help="CSV file to append to")
    args = parser.parse_args()
    args.label_smoothing = 0.0
    torch.set_num_threads(args.threads)

    criterion_name = "eureka --fused-linear"
    config = configuration(args, criterion_name)
    utils.import_user_module(config.common)
    task = tasks.setup_task(config.task)
    task.load_dataset("train")
    criterion = task.build_criterion(config.criterion).train()
    task.begin_epoch(1, None)
    iterator = task.get_batch_iterator(task.dataset("train"), max_sentences=args.batch_size, seed=1)
    batches = list(itertools.islice(iterator.next_epoch_itr(shuffle=True), args.batches))
    for dtype in (torch.float32, torch.bfloat16):
        calls = {}
        for name, options in DECODERS.items():
            torch.manual_seed(1)
            model = task.build_model(configuration(args, criterion_name, *options).model).to(dtype).train()
            queue = itertools.cycle(batches)
            calls[name] = lambda model=model, queue=queue: step(model, criterion, next(queue))
        numbers = summary(alternate(calls, args.rounds * len(batches)), "input feeding")
        rows = []
        for name in calls:
            print(
                f"{str(dtype)[6:]:>10} {name:>28}  {numbers[name]['median_ms']:8.1f} ms  "
                f"(interquartile range {numbers[name]['iqr_ms']:.1f})  ratio {numbers[name]['ratio']:.3f}"
            )
            rows.append(
                {
                    "decoder": name,
                    "dtype": str(dtype)[6:],
                    **numbers[name],
                    "steps": args.rounds * len(batches),
                    "hidden": args.hidden,
                    "embedding": args.embedding,
                    "batch_size": args.batch_size,
                    "classes": len(task.target_dictionary),
                    **environment("cpu"),
                }
            )
        if args.out:
            append(args.out, rows)


if __name__ == "__main__":
    main()

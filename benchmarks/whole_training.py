"""Training steps and replies a second of `lstm_convai2 --criterion eureka` beside stock fairseq.

    python benchmarks/whole_training.py data-bin/convai2_small --out benchmarks/results/whole_training.csv

Stock fairseq is `--arch lstm --criterion label_smoothed_cross_entropy`; both have the same sizes, batches and
options. A step is all that fairseq's trainer does with a batch: forward, backward, clipping, Adam. Replies
are decoded to 15 words, greedily and with beam 5, from untrained models, so that the lengths are equal: stock
fairseq's by its own generator, the others by that of `--task dialogue`. The candidates take turns in one
process; `ratio` is the median of the ratios of their turns, in processor time, which other programs disturb
less.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import pstats
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from fairseq import options, tasks, utils
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.trainer import Trainer
from measure import allocator, append, environment

from eureka_nlg.dialogue.plugin import plugin_dir

STOCK = "fairseq"
CANDIDATES = {
    STOCK: "--arch lstm --decoder-attention 1 --criterion label_smoothed_cross_entropy",
    "eureka-nlg": "--task dialogue --arch lstm_convai2 "
    "--criterion eureka --encouragement-start-epoch 1 --fused-linear",
}
WORDS = 15


def main() -> None:
    """Time both and write a row for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="fairseq data folder")
    parser.add_argument("--hidden", type=int, default=128, help="hidden size of the LSTMs")
    parser.add_argument("--embedding", type=int, default=128, help="width of the embeddings")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=20, help="batches of each")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--profile", action="store_true", help="print where the time of each goes instead")
    parser.add_argument("--out", help="CSV file to append to")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    trainers = {name: trainer_of(args, name) for name in CANDIDATES}
    task = trainers[STOCK].task
    iterator = task.get_batch_iterator(task.dataset("train"), max_sentences=args.batch_size, seed=1)
    batches = list(itertools.islice(iterator.next_epoch_itr(shuffle=True), args.rounds + 2))
    words = statistics.mean(batch["ntokens"] for batch in batches)
    works: dict[str, dict[str, Callable[[Any], Any]]] = {
        "training step": {
            name: lambda batch, trainer=trainer: trainer.train_step([batch])
            for name, trainer in trainers.items()
        },
        **{
            f"decoding, beam {beam}": {name: decoding(trainer, beam) for name, trainer in trainers.items()}
            for beam in (1, 5)
        },
    }
    for work, calls in works.items():
        if args.profile:
            for name, call in calls.items():
                profile(f"{work}, {name}", call, batches[:6])
            continue
        rounds = batches if work == "training step" else batches[: 2 + args.rounds // 3]
        rows = []
        for name, numbers in timed(calls, rounds).items():
            unit = words if work == "training step" else float(args.batch_size)
            rows.append(
                {
                    "work": work,
                    "candidate": name,
                    **numbers,
                    "per_second": round(1000 * unit / numbers["median_cpu_ms"], 1),
                    "of": "target words" if work == "training step" else "replies",
                    "steps": len(rounds) - 2,
                    "hidden": args.hidden,
                    "embedding": args.embedding,
                    "batch_size": args.batch_size,
                    "classes": len(task.target_dictionary),
                    **environment("cpu"),
                    "allocator": allocator(),
                }
            )
            print(
                f"{work:<20} {name:<12} {numbers['median_cpu_ms']:8.1f} ms of processor time  "
                f"ratio {numbers['ratio']:.3f}  {rows[-1]['per_second']} {rows[-1]['of']} a second",
                flush=True,
            )
        if args.out:
            append(args.out, rows)


def trainer_of(args: argparse.Namespace, name: str) -> Trainer:
    """fairseq's trainer of a candidate, with a model that is not trained yet."""
    sys.argv = [sys.argv[0], "--user-dir", plugin_dir()]  # fairseq's parser looks there
    size = f"--encoder-hidden-size {args.hidden} --decoder-hidden-size {args.hidden}"
    for one in ("encoder-embed-dim", "decoder-embed-dim", "decoder-out-embed-dim"):
        size += f" --{one} {args.embedding}"
    same = "--share-all-embeddings --encoder-layers 2 --decoder-layers 2 --dropout 0.1 --label-smoothing 0.1"
    optimizer = "--optimizer adam --lr 0.001 --clip-norm 1.0 --required-batch-size-multiple 1 --num-workers 0"
    arguments = [args.data, "--user-dir", plugin_dir(), "--cpu", "--seed", "1"]
    arguments += f"{CANDIDATES[name]} {size} {same} {optimizer}".split()
    config = convert_namespace_to_omegaconf(
        options.parse_args_and_arch(options.get_training_parser(), arguments)
    )
    utils.import_user_module(config.common)
    torch.manual_seed(1)
    task = tasks.setup_task(config.task)
    task.load_dataset("train")
    trainer = Trainer(config, task, task.build_model(config.model), task.build_criterion(config.criterion))
    task.begin_epoch(1, trainer.model)
    return trainer


def decoding(trainer: Trainer, beam: int) -> Callable[[Any], Any]:
    """Decode the replies to a batch."""
    given = argparse.Namespace(beam=beam, max_len_a=0, max_len_b=WORDS, min_len=WORDS)
    generator = trainer.task.build_generator([trainer.model], given)

    def decode(batch: Any) -> Any:
        trainer.model.eval()
        return trainer.task.inference_step(generator, [trainer.model], batch)

    return decode


def timed(calls: dict[str, Callable[[Any], Any]], batches: list[Any]) -> dict[str, dict[str, float]]:
    """Medians over the batches; the first two warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number, batch in enumerate(batches):
        for name in list(calls)[:: 1 if number % 2 else -1]:
            start = time.process_time()
            calls[name](batch)
            seconds[name].append(time.process_time() - start)
    result = {}
    for name, times in seconds.items():
        low, median, high = statistics.quantiles([1000 * one for one in times[2:]], n=4)
        ratio = statistics.median(mine / stock for mine, stock in zip(times[2:], seconds[STOCK][2:]))
        result[name] = {
            "median_cpu_ms": round(median, 1),
            "iqr_ms": round(high - low, 1),
            "ratio": round(ratio, 3),
        }
    return result


def profile(title: str, call: Callable[[Any], Any], batches: list[Any]) -> None:
    """Print the costliest functions and operations."""
    call(batches[0])
    profiler = cProfile.Profile(time.process_time)
    with profiler, torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as operations:
        for batch in batches[1:]:
            call(batch)
    print("\n==", title)
    print(
        operations.key_averages().table(sort_by="self_cpu_time_total", row_limit=14, max_name_column_width=40)
    )
    pstats.Stats(profiler).sort_stats("tottime").print_stats(10)


if __name__ == "__main__":
    main()

"""What bfloat16 does to the gradient of a training run, beside what the choice of the batch does to it.

    python benchmarks/bfloat16_gradients.py runs/cifar10_lt/ce/epoch024.pt data.source=FOLDER

For the network of a checkpoint and batches of its training data it prints, in percent of the norm of the
mean gradient in float32: how far a batch's gradient is from that mean (the noise that training lives with),
how far the bfloat16 gradient is from the float32 one of the same batch, and the same of their means over the
batches, which for errors that average out is smaller by the root of their number. Takes half a minute on a
core.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from eureka_nlg.errors import require
from eureka_nlg.vision.classification.config import Config
from eureka_nlg.vision.classification.data import load_data
from eureka_nlg.vision.classification.methods.catalogue import classification
from eureka_nlg.vision.config_file import flat, read_config
from eureka_nlg.vision.training.checkpoint import load_checkpoint


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--batches", type=int, default=20)
    args = parser.parse_args()
    state = load_checkpoint(args.checkpoint)
    config = read_config(Config, args.checkpoint.parent / "config.yaml", args.overrides)
    accelerator = require("accelerate", extra="vision").Accelerator(mixed_precision="no")
    task = classification(config, load_data(config.data), accelerator, resumed=True)
    task.network.load_state_dict(state["network"])
    task.network.to(accelerator.device).to(memory_format=torch.channels_last)
    task.network.train()
    epoch = int(state["epoch"])
    task.begin_epoch(epoch)
    exact: list[Tensor] = []
    rounded: list[Tensor] = []
    for number, parts in enumerate(task.batches(epoch, 0)):
        if number == args.batches:
            break
        for gradients, dtype in ((exact, torch.float32), (rounded, torch.bfloat16)):
            task.network.zero_grad(set_to_none=True)
            with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
                loss = task.loss(task.network, parts[0])
            loss.backward()
            gradients.append(
                torch.cat([p.grad.flatten() for p in task.network.parameters() if p.grad is not None])
            )
    report(flat(config)["save_dir"], epoch - 1, torch.stack(exact), torch.stack(rounded))


def report(name: str, epochs: int, exact: Tensor, rounded: Tensor) -> None:
    """Print the three deviations; gradients are ``[batches, parameters]``."""
    mean = exact.mean(0)

    def relative(deviation: Tensor) -> float:
        return float(100 * deviation.norm(dim=-1).mean() / mean.norm())

    print(
        f"{name} after {epochs} epochs, {len(exact)} batches: a batch from the mean "
        f"{relative(exact - mean):.1f} %, "
        f"bfloat16 from float32 {relative(rounded - exact):.1f} %, of their means "
        f"{relative((rounded - exact).mean(0)):.1f} %"
    )


if __name__ == "__main__":
    main()

"""What the Eureka loss costs in a training step of ResNet-32, at the numbers of classes of image data.

    python benchmarks/image_loss_step.py --out benchmarks/results/image_loss_step.csv

`share_percent` is the time of the loss, forward and backward, in percent of a whole step (forward, loss,
backward, SGD) with `F.cross_entropy`, batch 128 of 32 x 32 images, measured in turns. Takes about a minute on
2 cores.
"""

from __future__ import annotations

import argparse
import statistics

import torch
import torch.nn.functional as F
from measure import alternate, append, environment

from eureka_nlg.losses import eureka_loss
from eureka_nlg.vision.classification.models.resnet_cifar import cifar_resnet


def main() -> None:
    """Measure for each number of classes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", help="CSV file to append to")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for num_classes in args.classes:
        measure(args, num_classes, device)


def measure(args: argparse.Namespace, num_classes: int, device: str) -> None:
    """One number of classes."""
    torch.manual_seed(1)
    body, num_features = cifar_resnet(32)
    model = torch.nn.Sequential(body, torch.nn.Linear(num_features, num_classes))
    model = model.to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    images = torch.randn(args.batch_size, 3, 32, 32, device=device).to(memory_format=torch.channels_last)
    target = torch.randint(num_classes, (args.batch_size,), device=device)
    logits = torch.randn(args.batch_size, num_classes, device=device).requires_grad_()
    encouragement = torch.rand(num_classes, device=device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, dtype=torch.bfloat16):
            output = model(images)
        F.cross_entropy(output.float(), target).backward()
        optimizer.step()

    def loss_alone(loss: torch.Tensor) -> None:
        logits.grad = None
        loss.backward()

    times = alternate(
        {
            "step": step,
            "cross_entropy": lambda: loss_alone(F.cross_entropy(logits, target)),
            "eureka_loss": lambda: loss_alone(eureka_loss(logits, target, encouragement)),
        },
        args.rounds,
        device,
    )
    rows = []
    for name in ("cross_entropy", "eureka_loss"):
        shares = [100 * mine / step for mine, step in zip(times[name], times["step"])]
        low, median, high = statistics.quantiles(times[name], n=4)
        rows.append(
            {
                "loss": name,
                "classes": num_classes,
                "batch_size": args.batch_size,
                "median_ms": round(median, 3),
                "iqr_ms": round(high - low, 3),
                "step_ms": round(statistics.median(times["step"]), 1),
                "share_percent": round(statistics.median(shares), 3),
                "rounds": args.rounds,
                **environment(device),
            }
        )
        print(
            f"{num_classes:5} classes  {name:<14} {median:7.3f} ms, step {rows[-1]['step_ms']:7.1f} ms: "
            f"{rows[-1]['share_percent']:.2f} %"
        )
    if args.out:
        append(args.out, rows)


if __name__ == "__main__":
    main()

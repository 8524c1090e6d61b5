"""The options of the training loop that all vision tasks share, and helpers for classes of options."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from eureka_nlg.errors import UserError
from eureka_nlg.limits import MOST_WORKERS

__all__ = ["LoopConfig", "described", "check_at_least", "check_workers"]


def described(text: str) -> dict[str, str]:
    """Metadata of an option: its help text."""
    return {"help": text}


def check_at_least(name: str, value: float, least: float) -> None:
    """Raise UserError if the value of an option is too small."""
    if not value >= least:
        raise UserError(f"{name}: {value}, expected {least} or more")


def check_workers(name: str, value: int) -> None:
    """Raise UserError if a number of processes that read images is impossible; they all start at once."""
    if not 0 <= value <= MOST_WORKERS:
        raise UserError(f"{name}: {value}, expected 0 to {MOST_WORKERS:,}")


@dataclass
class LoopConfig:
    """Options of the optimiser and of the loop; the task adds the schedule of the learning rate."""

    batch_size: int = field(default=128, metadata=described("images in a step, over all processes"))
    accumulate: int = field(
        default=1, metadata=described("parts that a step's batch is computed in, to save memory")
    )
    learning_rate: float = field(default=0.1, metadata=described("highest learning rate of SGD"))
    momentum: float = field(default=0.9, metadata=described("momentum of SGD"))
    weight_decay: float = field(default=2e-4, metadata=described("weight decay of SGD, on all parameters"))
    precision: Literal["auto", "float32", "bfloat16"] = field(
        default="auto",
        metadata=described(
            "numeric format of the network's operations; weights and loss are float32; auto: bfloat16 if the "
            "processor supports it"
        ),
    )
    channels_last: bool = field(default=True, metadata=described("memory format of images and convolutions"))
    compile: bool = field(default=False, metadata=described("torch.compile the network"))
    device: Literal["auto", "cpu"] = field(default="auto", metadata=described("auto: a GPU if there is one"))
    evaluate_every: int = field(
        default=10, metadata=described("epochs between evaluations; the last epoch is always evaluated")
    )
    checkpoint_every: int = field(default=1, metadata=described("epochs between checkpoints"))
    keep_epochs: list[int] = field(
        default_factory=list,
        metadata=described("epochs (after scaling) whose checkpoints are kept as epochNNN.pt"),
    )

    trackers: list[str] = field(
        default_factory=lambda: ["tensorboard"],
        metadata=described(
            "where the log goes besides log.jsonl: tensorboard (a folder in the run folder) and trackers of "
            "accelerate: wandb, trackio, comet_ml, mlflow, aim, clearml, dvclive, swanlab"
        ),
    )

    def __post_init__(self) -> None:
        for name in ("batch_size", "accumulate", "evaluate_every", "checkpoint_every"):
            check_at_least(f"training.{name}", getattr(self, name), 1)
        for name in ("learning_rate", "momentum", "weight_decay"):
            check_at_least(f"training.{name}", getattr(self, name), 0)

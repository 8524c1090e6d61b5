"""What the loop wants of a task and of a config."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor, nn

from eureka_nlg.vision.loop_config import LoopConfig

__all__ = ["RunConfig", "Task"]


class RunConfig(Protocol):
    """What the loop reads of a config, which is a dataclass."""

    @property
    def training(self) -> LoopConfig:
        """Optimiser and the loop."""

    @property
    def epochs(self) -> int:
        """Of the run, scaled."""


class Task(Protocol):
    """What is trained on what: classification, or another task that wants this loop.

    Attributes:
        network: what learns, without wrappers.
        signature: of the training data; a checkpoint of other data is refused.
        remedies: options that help when the loss is not finite or runs away, as they follow "give".
    """

    network: nn.Module
    signature: str
    remedies: str = "a smaller training.learning_rate"

    def steps_per_epoch(self) -> int:
        """Steps of every epoch: a pass over the images, or however many updates the task calls one."""

    def learning_rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0 over the whole run."""

    def begin_epoch(self, epoch: int) -> None:
        """An epoch (from 1) begins, or a run goes on in it."""

    def batches(self, epoch: int, first_step: int) -> Iterator[list[Any]]:
        """For each step from ``first_step`` on, the parts that this process computes, one or more."""

    def loss(self, model: nn.Module, part: Any) -> Tensor:
        """What a part adds to the step's loss; ``model`` is the network as it is to be called.

        The sum over the parts of all processes is the mean over the step's images, so that the gradient does
        not depend on how a step is split.
        """

    def evaluate(self) -> dict[str, float | None]:
        """Scores for the log, by dotted name."""

    # What a task seldom needs, with what it is without.

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What learns, for the optimiser; a group's ``factor`` is that of its learning rate."""
        return [{"params": [one for one in self.network.parameters() if one.requires_grad]}]

    def end_step(self, epoch: int, step: int) -> None:
        """A step (of the epoch, from 0) is done, in all processes."""
        return

    def state(self) -> dict[str, Any]:
        """What a run that goes on needs besides the network: what a checkpoint can hold."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`state` gave; nothing at the branch from another run."""
        return

"""The interface between the training loop and a task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor, nn

from eureka_nlg.vision.loop_config import LoopConfig

__all__ = ["RunConfig", "Task"]


class RunConfig(Protocol):
    """The part of a config that the loop reads; a config is a dataclass."""

    @property
    def training(self) -> LoopConfig:
        """Options of the optimiser and of the loop."""

    @property
    def epochs(self) -> int:
        """Number of epochs of the run, after scaling."""


class Task(Protocol):
    """A task for the training loop, such as classification.

    Attributes:
        network: the network to train, without wrappers.
        signature: digest of the training data; a checkpoint with another one is refused.
        remedies: options that help if the loss is not finite or runs away, as text that follows "give".
    """

    network: nn.Module
    signature: str
    remedies: str = "a smaller training.learning_rate"

    def steps_per_epoch(self) -> int:
        """Number of steps of an epoch, which need not be one pass over the images."""

    def learning_rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0 over the whole run."""

    def begin_epoch(self, epoch: int) -> None:
        """Called when an epoch, counted from 1, begins or is resumed."""

    def batches(self, epoch: int, first_step: int) -> Iterator[list[Any]]:
        """For each step from ``first_step`` on, the one or more parts that this process computes."""

    def loss(self, model: nn.Module, part: Any) -> Tensor:
        """The contribution of a part to the loss of its step; ``model`` is the network with its wrappers.

        The sum over the parts of all processes is the mean over the step's images, so that the gradient does
        not depend on how a step is split.
        """

    def evaluate(self) -> dict[str, float | None]:
        """Scores for the log, by dotted name."""

    # Methods with a default, which few tasks override.

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameter groups for the optimiser; ``factor`` of a group multiplies its learning rate."""
        return [{"params": [one for one in self.network.parameters() if one.requires_grad]}]

    def end_step(self, epoch: int, step: int) -> None:
        """Called in all processes after a step, counted from 0 in the epoch."""
        return

    def state(self) -> dict[str, Any]:
        """The state, besides the network, that a resumed run needs; stored in checkpoints."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned; empty if the run branches off another run."""
        return

"""Image classification as a task of the training loop: plain, the stages of Decoupling, and BBN."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from eureka_nlg.errors import UserError, require
from eureka_nlg.losses import Deferred
from eureka_nlg.vision.classification.config import Config
from eureka_nlg.vision.classification.data import Batch, BatchOptions, ImageData
from eureka_nlg.vision.classification.evaluation import Predictions, evaluate
from eureka_nlg.vision.classification.losses import deferred_loss
from eureka_nlg.vision.classification.models import BilateralNetwork, Network, second_stage
from eureka_nlg.vision.classification.step_mean import step_mean
from eureka_nlg.vision.data.order import Draw
from eureka_nlg.vision.training.checkpoint import load_checkpoint

__all__ = ["Classification", "BilateralClassification", "classification", "build_network"]


def build_network(config: Config, num_classes: int, pretrained: bool = False) -> Network | BilateralNetwork:
    """The network of a config with fresh weights.

    Args:
        config: of the run.
        num_classes: C.
        pretrained: crt and lws take the weights of their first stage from ``config.init_from``. Not
            needed if a checkpoint of the second stage is loaded next.

    Raises:
        UserError: a first stage that does not fit.
    """
    cosine = config.uses_cosine_head
    if config.method == "bbn":
        return BilateralNetwork(config.model, num_classes, cosine)
    network = Network(config.model, num_classes, cosine)
    if config.method == "plain":
        return network
    if pretrained:
        weights = load_checkpoint(Path(str(config.init_from)))["network"]
        if config.method == "crt":  # its classifier starts anew, whatever the old one was
            own = {f"classifier.{name}": value for name, value in network.classifier.state_dict().items()}
            weights = {k: v for k, v in weights.items() if not k.startswith("classifier.")} | own
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise UserError(
                f"init_from {config.init_from}: does not fit model {config.model.name} with {num_classes} "
                f"classes ({'cosine' if cosine else 'linear'} head, see model.head): {reason}"
            ) from error
    return second_stage(network, config.method, num_classes, cosine)


def classification(config: Config, data: ImageData, accelerator: Any, resumed: bool) -> Classification:
    """The task of a config.

    Args:
        config: of the run.
        data: its images.
        accelerator: of Hugging Face accelerate.
        resumed: the network's weights come from a checkpoint of the run.
    """
    torch.manual_seed(config.seed)
    network = build_network(config, len(data.class_counts), pretrained=not resumed)
    kind = BilateralClassification if config.method == "bbn" else Classification
    return kind(config, data, network, accelerator)


class Classification:
    """One network, one stream of images, one loss in each epoch; a :class:`eureka_nlg.vision.training.Task`.

    Attributes:
        network: what learns.
        signature: of the training images.
    """

    def __init__(self, config: Config, data: ImageData, network: nn.Module, accelerator: Any) -> None:
        self.config, self.data, self.network, self.accelerator = config, data, network, accelerator
        self.signature = data.signature
        training = config.training
        self._options = BatchOptions(
            batch_size=training.batch_size,
            seed=config.seed,
            device=accelerator.device,
            process=accelerator.process_index,
            processes=accelerator.num_processes,
            accumulate=training.accumulate,
            channels_last=training.channels_last,
        )
        self._batches = data.batches(lambda epoch: config.phase(epoch)[1], self._options)
        self._loss = deferred_loss(config, data.class_counts, reduction="sum").to(accelerator.device)

    def steps_per_epoch(self) -> int:
        """Steps of every epoch, however its images are drawn."""
        return len(self._batches)

    def learning_rate(self, step: int) -> float:
        """Learning rate of a step."""
        return self.config.learning_rate(step, self.steps_per_epoch())

    def begin_epoch(self, epoch: int) -> None:
        """Tell a deferred loss."""
        if isinstance(self._loss, Deferred):
            self._loss.set_epoch(epoch)

    def batches(self, epoch: int, first_step: int) -> Iterator[list[Any]]:
        """Parts of the steps of an epoch."""
        return self._batches.epoch(epoch, first_step)

    def loss(self, model: nn.Module, part: Batch) -> Tensor:
        """What a part adds to the mean loss of its step."""
        return self._mean(model(part.images), part)

    def _mean(self, logits: Tensor, part: Batch) -> Tensor:
        loss = self._loss.current if isinstance(self._loss, Deferred) else self._loss
        return step_mean(loss, logits, part.labels, part.step_labels)

    def evaluate(self) -> dict[str, float | None]:
        """Accuracies and calibration, under dotted names."""
        scores = evaluate(self.predict(), self.data.class_counts)
        entry = {f"accuracy.{name}": value for name, value in scores["accuracy"].items()}
        return entry | {"calibration_error": scores["calibration_error"]["all"]}

    def predict(self, training_images: bool = False) -> Predictions:
        """Predictions for the images to evaluate on, or to train on, in float32; processes share the work."""
        labels = self.data.train_labels if training_images else self.data.labels
        rank, processes = self.accelerator.process_index, self.accelerator.num_processes
        own = torch.arange(rank, len(labels), processes)
        images = self.data.plain_images(
            own, self.config.training.batch_size, self.accelerator.device, training=training_images
        )
        self.network.eval()
        with torch.inference_mode():
            logits = torch.cat([self.network(batch).float().cpu() for batch in images])
        predictions = Predictions.of_logits(logits, labels[own])
        if processes == 1:
            return predictions
        gather = require("accelerate.utils", extra="vision").gather_object
        return Predictions.merged(gather([(own, predictions)]))


class _Pair(NamedTuple):
    natural: Batch
    reversed: Batch


class BilateralClassification(Classification):
    """BBN (Zhou et al. 2020): an evenly and a reversely drawn batch, mixed ever more evenly.

    The loss of the mixed logits is ``alpha * L(natural labels) + (1 - alpha) * L(reversed labels)``, with
    ``alpha = 1 - (t / T) ** 2`` in the epoch t (from 0) of T.
    """

    def __init__(self, config: Config, data: ImageData, network: nn.Module, accelerator: Any) -> None:
        super().__init__(config, data, network, accelerator)
        self._reversed = data.batches(_draw_reversed, self._options, stream="reversed ")
        self.alpha = 1.0

    def begin_epoch(self, epoch: int) -> None:
        """Set alpha."""
        super().begin_epoch(epoch)
        self.alpha = 1 - ((epoch - 1) / self.config.epochs) ** 2

    def batches(self, epoch: int, first_step: int) -> Iterator[list[Any]]:
        """Pairs of parts, one drawn evenly, one reversely."""
        for natural, reverse in zip(
            self._batches.epoch(epoch, first_step), self._reversed.epoch(epoch, first_step)
        ):
            yield [_Pair(*pair) for pair in zip(natural, reverse)]

    def loss(self, model: nn.Module, part: Any) -> Tensor:
        """What a pair adds to the mean loss of its step."""
        logits = model(part.natural.images, part.reversed.images, self.alpha)
        natural, reverse = self._mean(logits, part.natural), self._mean(logits, part.reversed)
        return self.alpha * natural + (1 - self.alpha) * reverse


def _draw_reversed(epoch: int) -> Draw:
    return "reversed"

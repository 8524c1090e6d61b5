"""Image classification as a task of the training loop: one network, one loss; the base of all methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from eureka_nlg.errors import require
from eureka_nlg.losses import Deferred
from eureka_nlg.losses.bonus import bounding_options
from eureka_nlg.vision.classification.config import Config
from eureka_nlg.vision.classification.data import Batch, BatchOptions, ImageData
from eureka_nlg.vision.classification.evaluation import Predictions, evaluate
from eureka_nlg.vision.classification.losses import deferred_loss
from eureka_nlg.vision.classification.models import Network
from eureka_nlg.vision.classification.step_mean import step_mean
from eureka_nlg.vision.training import Task

__all__ = ["Classification"]


class Classification(Task):
    """One network, one stream of images and one loss per epoch; a :class:`eureka_nlg.vision.training.Task`.

    Attributes:
        network: the network to train.
        signature: digest of the training images.
    """

    remedies = f"{Task.remedies}, or for the Eureka loss {bounding_options('loss.{name}={value}')}"

    @classmethod
    def build_network(cls, config: Config, num_classes: int, pretrained: bool) -> nn.Module:
        """The network of a config.

        Args:
            config: options of the run.
            num_classes: C.
            pretrained: whether a second stage loads the weights of its first stage, ``config.init_from``; not
                needed if a checkpoint of the second stage is loaded afterwards.

        Raises:
            UserError: the first stage does not fit.
        """
        return Network(config.model, num_classes, config.cosine_scale)

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
        self._batches = data.batches(lambda epoch: config.phase(epoch).sampling, self._options)
        self._loss = deferred_loss(config, data.class_counts, reduction="sum").to(accelerator.device)

    def prepare(self) -> None:
        """Initialise the network of a new run from the training images, before the first step."""

    def steps_per_epoch(self) -> int:
        """Number of steps of an epoch, the same for all kinds of sampling."""
        return len(self._batches)

    def learning_rate(self, step: int) -> float:
        """Learning rate of a step."""
        return self.config.learning_rate(step, self.steps_per_epoch())

    def begin_epoch(self, epoch: int) -> None:
        """Tell a deferred loss the epoch."""
        if isinstance(self._loss, Deferred):
            self._loss.set_epoch(epoch)

    def batches(self, epoch: int, first_step: int) -> Iterator[list[Any]]:
        """Parts of the steps of an epoch."""
        return self._batches.epoch(epoch, first_step)

    def loss(self, model: nn.Module, part: Batch) -> Tensor:
        """The contribution of a part to the mean loss of its step."""
        return self._mean(model(part.images), part)

    def _mean(self, logits: Tensor, part: Batch) -> Tensor:
        loss = self._loss.current if isinstance(self._loss, Deferred) else self._loss
        return step_mean(loss, logits, part.labels, part.step_labels)

    def class_means(self, classes: Tensor, value: Callable[[Tensor], Tensor], width: int) -> Tensor:
        """Mean of a value over the training images of some classes, without augmentation.

        The processes share the work.

        Args:
            classes: ``[C]`` bool, the classes to compute.
            value: images ``[B, 3, H, W]`` -> values ``[B, D]``.
            width: D.

        Returns:
            ``[C, D]`` float32 on the device, the same in all processes; zeros for the other classes.
        """
        device, labels = self.accelerator.device, self.data.train_labels
        rank, processes = self.accelerator.process_index, self.accelerator.num_processes
        own = classes[labels].nonzero().flatten()[rank::processes]
        images = self.data.plain_images(own, self.config.training.batch_size, device, training=True)
        self.network.to(device).eval()
        sums = torch.zeros(len(classes), width, dtype=torch.float64, device=device)
        with torch.no_grad():
            for chosen, batch in zip(own.split(self.config.training.batch_size), images):
                sums.index_add_(0, labels[chosen].to(device), value(batch).double())
        sums = self.accelerator.reduce(sums, reduction="sum")
        return (sums / self.data.class_counts.to(device)[:, None]).float()

    def evaluate(self) -> dict[str, float | None]:
        """Accuracies and calibration error, by dotted names."""
        scores = evaluate(self.predict(), self.data.class_counts)
        entry = {f"accuracy.{name}": value for name, value in scores["accuracy"].items()}
        return entry | {"calibration_error": scores["calibration_error"]["all"]}

    def predict(self, training_images: bool = False, offset: Tensor | None = None) -> Predictions:
        """Predictions for the evaluation images or the training images, in float32.

        The processes share the work.

        Args:
            training_images: whether to predict the training images.
            offset: ``[C]`` added to the logits; None for nothing.
        """
        labels = self.data.train_labels if training_images else self.data.labels
        rank, processes = self.accelerator.process_index, self.accelerator.num_processes
        own = torch.arange(rank, len(labels), processes)
        images = self.data.plain_images(
            own, self.config.training.batch_size, self.accelerator.device, training=training_images
        )
        self.network.eval()
        with torch.inference_mode():
            logits = torch.cat([self.network(batch).float().cpu() for batch in images])
        if offset is not None:
            logits = logits + offset
        predictions = Predictions.of_logits(logits, labels[own])
        if processes == 1:
            return predictions
        gather = require("accelerate.utils", extra="vision").gather_object
        return Predictions.merged(gather([(own, predictions)]))

"""MBJ (Liu et al. 2020, "Memory-based Jitter: ... with Diversity in Memory").

The network changes with every step, so the features of the same tail image differ between steps. This
jitter gives the tail a variety that it lacks otherwise. A memory keeps features of past steps with their
classes, of rare classes more often than of common ones, and the classifier learns from them as well as from
the images:

    L = mean loss(images of the step) + memory_weight * mean loss(features drawn from the memory)

The second term has no gradient in the backbone, since the features were computed by earlier states of it.

From the paper: a memory that is filled with class-specific probabilities, which are higher for the tail, and
a classifier that learns from the memory and the batch. Chosen by this project, since the sizes and weights of
the paper are not known here:

- An image of a class with m training images is stored with probability ``(m_min / m) ** power``. With power 1
  all classes have the same share of the memory.
- The memory is a ring buffer: the newest feature replaces the oldest. ``memory_size`` is 2048.
- A step replays as many features as it has images, drawn uniformly with replacement; nothing is replayed
while
  the memory is empty. ``memory_weight`` is 1.
- The features are those of the training step (augmented image, batch statistics), before its update.
- With ``deferral.plain_epochs`` the memory starts after these epochs; before that the run has no memory.
- Both terms have the configured loss, so with Eureka both have the reward.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from eureka_nlg.errors import require
from eureka_nlg.vision.classification.config import Config
from eureka_nlg.vision.classification.data import Batch, ImageData
from eureka_nlg.vision.classification.models import Network, in_float32
from eureka_nlg.vision.classification.task import Classification
from eureka_nlg.vision.data.order import generator, own_parts

__all__ = ["FeatureMemory", "MemoryBasedJitter", "RememberingNetwork"]


class FeatureMemory:
    """A ring buffer of features with their classes.

    Args:
        size: capacity in features.
        width: D.
        device: device of the buffer.

    Attributes:
        features: ``[size, D]`` float32.
        labels: ``[size]`` int64, -1 in empty places.
        written: number of features that were ever written; the next one goes to ``written % size``.
    """

    def __init__(self, size: int, width: int, device: torch.device | str = "cpu") -> None:
        self.features = torch.zeros(size, width, device=device)
        self.labels = torch.full((size,), -1, device=device)
        self.written = 0

    def __len__(self) -> int:
        return min(self.written, len(self.labels))

    def write(self, features: Tensor, labels: Tensor) -> None:
        """Store features ``[n, D]`` of classes ``[n]``, in this order, in place of the oldest ones."""
        size = len(self.labels)
        features, labels = features[-size:], labels[-size:]  # earlier ones would be overwritten at once
        places = (self.written + torch.arange(len(labels), device=self.labels.device)) % size
        self.features[places] = features.to(self.features)
        self.labels[places] = labels.to(self.labels)
        self.written += len(labels)

    def state(self) -> dict[str, Any]:
        """The content, for a checkpoint."""
        return {"features": self.features, "labels": self.labels, "written": self.written}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned.

        Raises:
            ValueError: it is of a memory of another size.
        """
        for name in ("features", "labels"):
            here, there = getattr(self, name), state[name]
            if here.shape != there.shape:
                raise ValueError(f"memory of shape {list(there.shape)}, expected {list(here.shape)}")
            here.copy_(there)
        self.written = state["written"]


class RememberingNetwork(Network):
    """A plain network that can also classify features from a memory and return the images' features."""

    def forward(  # type: ignore[override]
        self, images: Tensor, recalled: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Images ``[B, 3, H, W]`` -> logits ``[B, C]``.

        With features ``recalled`` ``[R, D]``: logits of the images, logits of these features ``[R, C]``, and
        the features of the images.
        """
        features = self.backbone(images)
        if recalled is None:
            return in_float32(self.classifier, features)
        both = in_float32(self.classifier, torch.cat([features.float(), recalled]))
        return both[: len(features)], both[len(features) :], features.detach().float()


class _Part(NamedTuple):
    batch: Batch
    positions: Tensor  # positions of the images in the step
    recalled: Tensor  # places in the memory that this part replays
    recalled_of_step: Tensor  # places that the whole step replays


class MemoryBasedJitter(Classification):
    """Training with a memory of features."""

    @classmethod
    def build_network(cls, config: Config, num_classes: int, pretrained: bool) -> nn.Module:
        """A network that can classify features."""
        return RememberingNetwork(config.model, num_classes, config.cosine_scale)

    def __init__(self, config: Config, data: ImageData, network: Any, accelerator: Any) -> None:
        super().__init__(config, data, network, accelerator)
        config.mbj.check_images(len(data.train_labels))
        self.memory = FeatureMemory(config.mbj.memory_size, network.num_features, accelerator.device)
        counts = data.class_counts.double()
        rarest = counts[counts > 0].min()
        self._probability = ((rarest / counts.clamp(min=1)) ** config.mbj.power).clamp(max=1)
        self._remembers = False
        self._fresh: list[tuple[Tensor, Tensor, Tensor]] = []  # positions, features, labels of this process

    def begin_epoch(self, epoch: int) -> None:
        """Note whether the memory is used in this epoch."""
        super().begin_epoch(epoch)
        self._remembers = self.config.phase(epoch).memory is not None

    def batches(self, epoch: int, first_step: int) -> Iterator[list[Any]]:
        """Parts of the images, each with its part of the replayed features."""
        options = self._options
        for step, parts in enumerate(self._batches.epoch(epoch, first_step), start=first_step):
            count = len(parts[0].step_labels)
            own = own_parts(count, options.process, options.processes, options.accumulate)
            recalled = self._recalled(epoch, step, count)
            shares = recalled[options.process :: options.processes].tensor_split(len(own))
            yield [
                _Part(batch, positions, share, recalled)
                for batch, (positions, _), share in zip(parts, own, shares)
            ]

    def loss(self, model: nn.Module, part: _Part) -> Tensor:  # type: ignore[override]
        """The contribution of a part to the mean losses of images and of replayed features."""
        if not self._remembers:
            return super().loss(model, part.batch)
        memory, device = self.memory, self.accelerator.device
        places, of_step = part.recalled.to(device), part.recalled_of_step.to(device)
        logits, recalled, features = model(part.batch.images, memory.features[places])
        self._fresh.append((part.positions, features, part.batch.labels))
        mean = self._mean(logits, part.batch)
        if not len(places):
            return mean
        labels = memory.labels[places]
        of_memory = self._mean(recalled, Batch(part.batch.images, labels, memory.labels[of_step]))
        return mean + self.config.mbj.memory_weight * of_memory

    def end_step(self, epoch: int, step: int) -> None:
        """Store some features of the step: the same in all processes, however the step was split."""
        if not self._remembers:
            return
        positions, features, labels = (torch.cat(parts) for parts in zip(*self._fresh))
        self._fresh.clear()
        drawn = torch.rand(
            self.config.training.batch_size,
            generator=generator(self.config.seed, "remembered", epoch, step),
            dtype=torch.float64,
        )
        chosen = drawn[positions] < self._probability[labels.cpu()]
        kept = (positions[chosen], features[chosen.to(features.device)].cpu(), labels.cpu()[chosen])
        if self.accelerator.num_processes > 1:
            gather = require("accelerate.utils", extra="vision").gather_object
            kept = tuple(torch.cat(parts) for parts in zip(*gather([kept])))  # type: ignore[assignment]
        order = kept[0].argsort()
        self.memory.write(kept[1][order], kept[2][order])

    def state(self) -> dict[str, Any]:
        """The content of the memory."""
        return self.memory.state() if self.memory.written else {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the memory; the state is empty if the run had none."""
        if state:
            self.memory.load_state(state)

    def _recalled(self, epoch: int, step: int, count: int) -> Tensor:
        """Places in the memory that a step of ``count`` images replays, over all its parts."""
        held = len(self.memory)
        if not self._remembers or not held:
            return torch.zeros(0, dtype=torch.int64)
        source = generator(self.config.seed, "recalled", epoch, step)
        return torch.randint(held, (self.config.mbj.replayed or count,), generator=source)

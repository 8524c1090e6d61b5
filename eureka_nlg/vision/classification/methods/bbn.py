"""BBN (Zhou et al. 2020): two branches, with instance-balanced and with reversed sampling of images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import Tensor, nn

from eureka_nlg.vision.classification.config import Config
from eureka_nlg.vision.classification.data import Batch, ImageData
from eureka_nlg.vision.classification.models import BilateralNetwork
from eureka_nlg.vision.classification.task import Classification
from eureka_nlg.vision.data.order import Draw

__all__ = ["BilateralClassification"]


class _Pair(NamedTuple):
    natural: Batch
    reversed: Batch


class BilateralClassification(Classification):
    """BBN (Zhou et al. 2020): a naturally sampled and a reversely sampled batch in each step.

    The loss of the mixed logits is ``alpha * L(natural labels) + (1 - alpha) * L(reversed labels)``, with
    ``alpha = 1 - (t / T) ** 2`` in epoch t, counted from 0, of T epochs.
    """

    @classmethod
    def build_network(cls, config: Config, num_classes: int, pretrained: bool) -> nn.Module:
        """A network with both branches."""
        return BilateralNetwork(config.model, num_classes, config.cosine_scale)

    def __init__(self, config: Config, data: ImageData, network: nn.Module, accelerator: Any) -> None:
        super().__init__(config, data, network, accelerator)
        self._reversed = data.batches(_draw_reversed, self._options, stream="reversed ")
        self.alpha = 1.0

    def begin_epoch(self, epoch: int) -> None:
        """Set alpha."""
        super().begin_epoch(epoch)
        self.alpha = 1 - ((epoch - 1) / self.config.epochs) ** 2

    def batches(self, epoch: int, first_step: int) -> Iterator[list[Any]]:
        """Pairs of parts, one with natural and one with reversed sampling."""
        for natural, reverse in zip(
            self._batches.epoch(epoch, first_step), self._reversed.epoch(epoch, first_step)
        ):
            yield [_Pair(*pair) for pair in zip(natural, reverse)]

    def loss(self, model: nn.Module, part: Any) -> Tensor:
        """The contribution of a pair to the mean loss of its step."""
        logits = model(part.natural.images, part.reversed.images, self.alpha)
        natural, reverse = self._mean(logits, part.natural), self._mean(logits, part.reversed)
        return self.alpha * natural + (1 - self.alpha) * reverse


def _draw_reversed(epoch: int) -> Draw:
    return "reversed"

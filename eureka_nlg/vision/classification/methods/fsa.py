"""FSA (Chu et al. 2020, "Feature Space Augmentation for Long-Tailed Data"), its second phase.

A class activation map says how much each location of an image's feature map contributes to a class. Scaled
to 0..1, it divides the map into a class-specific part (above one threshold), a class-generic part (below
another) and the rest. Tail classes lack variety in the generic part. So new features are made for them: they
keep the specific locations of a tail image, and take the other locations from the generic part of images of
head classes, the donors. The head classes are those that the tail class is confused with most. One half of a
batch of the classifier is of the head, and the other half consists of tail images and features made of them.

From the paper: the division by two thresholds; the most confusing head classes, by the mean score that the
first phase gives them on images of the tail class; N_a made features per tail image; N_f confusing classes;
batches of half head and half tail. From the settings of a reimplementation: N_a = N_f = 3 for CIFAR-10-LT and
15 for ImageNet-LT, and the thresholds 0.8 and 0.2. Chosen by this project, where these sources are silent:

- The features, including their batch statistics, are frozen; training of the classifier of the first phase
  continues.
- The maps use the weights of the first phase's classifier, which are kept: they are the activation of the
  image's own class, scaled by the smallest and the largest value of the map. A constant map is specific
  everywhere.
- A location that is not specific takes the feature of a generic location of the donor, drawn uniformly;
  specific locations are not moved.
- The donor of the j-th made feature of a tail image is of the (j mod N_f)-th confusing class.
- The tail is the rarest half of the classes (``fsa.tail_fraction``). ``sampling`` draws the classes within
  head and tail; the images of a class are drawn uniformly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eureka_nlg.errors import UserError
from eureka_nlg.frequency import rarest_classes
from eureka_nlg.vision.classification.config import Config, FsaConfig
from eureka_nlg.vision.classification.data import Batch, ImageData
from eureka_nlg.vision.classification.methods.first_stage import first_stage
from eureka_nlg.vision.classification.models import Network, in_float32
from eureka_nlg.vision.classification.task import Classification
from eureka_nlg.vision.data.order import class_probabilities, generator, images_of_classes, own_parts

__all__ = ["AugmentedNetwork", "FeatureSpaceAugmentation", "class_activation", "made_features", "split_maps"]

Draw = Callable[[int], Tensor]
"""Number of locations L -> random numbers in [0, 1), ``[rows, L]``."""


def class_activation(maps: Tensor, weights: Tensor) -> Tensor:
    """Class activation maps (Zhou et al. 2016), each scaled to 0..1.

    Args:
        maps: ``[B, D, H, W]`` feature maps.
        weights: ``[B, D]`` the classifier's weights for the class of each map.

    Returns:
        ``[B, H, W]``; a constant map becomes 1 everywhere.
    """
    activation = (maps * weights[:, :, None, None]).sum(1)  # not a matrix product, which autocast would round
    flat = activation.flatten(1)
    low, high = (bound.view(-1, 1, 1) for bound in (flat.amin(1), flat.amax(1)))
    spread = high - low
    return torch.where(spread > 0, (activation - low) / spread.clamp(min=torch.finfo(maps.dtype).tiny), 1.0)


def split_maps(maps: Tensor, activation: Tensor, specific: float, generic: float) -> tuple[Tensor, ...]:
    """The class-specific part of feature maps, their class-generic part, and the rest.

    Args:
        maps: ``[B, D, H, W]``.
        activation: ``[B, H, W]`` in 0..1.
        specific: least activation of a specific location.
        generic: activation below which a location is generic.

    Returns:
        Three tensors ``[B, D, H, W]`` that are zero outside of their locations; their sum is ``maps``.
    """
    is_specific, is_generic = activation >= specific, activation < generic
    masks = (is_specific, is_generic, ~(is_specific | is_generic))
    return tuple(torch.where(mask[:, None], maps, 0.0) for mask in masks)


def made_features(
    tail: tuple[Tensor, Tensor], donor: tuple[Tensor, Tensor], drawn: Tensor, options: FsaConfig
) -> Tensor:
    """Tail feature maps in which the locations that are not specific come from the generic part of donors.

    Args:
        tail: feature maps ``[B, D, H, W]`` of tail images and their activations ``[B, H, W]``.
        donor: the same of head images.
        drawn: ``[B, H * W]`` in [0, 1), random numbers that choose the donor's location for each location.
        options: the thresholds.

    Returns:
        ``[B, D, H, W]``.
    """
    (maps, activation), (others, other_activation) = tail, donor
    generic = other_activation.flatten(1) < options.generic_threshold
    count = generic.sum(1, keepdim=True)
    # Generic locations are sorted to the front, and one is drawn. A donor may have none; it changes nothing.
    first = generic.long().argsort(dim=1, descending=True, stable=True)
    chosen = first.gather(1, (drawn * count).long().clamp(max=generic.shape[1] - 1))
    filled = others.flatten(2).gather(2, chosen[:, None].expand(-1, others.shape[1], -1)).view_as(maps)
    stays = (activation >= options.specific_threshold) | (count == 0)[:, :, None]
    return torch.where(stays[:, None], maps, filled)


class AugmentedNetwork(Network):
    """A network with frozen features, whose classifier also learns from made features.

    Args:
        stage: the network of the first phase.
        num_classes: C.
        options: options of the method.

    Attributes:
        first_weight: ``[C, D]``, weights of the first phase's classifier.
        confusing: ``[C, N_f]``, head classes that each tail class is confused with, in descending order; -1
            in the rows of head classes.
    """

    first_weight: Tensor
    confusing: Tensor

    def __init__(self, stage: Network, num_classes: int, options: FsaConfig) -> None:
        nn.Module.__init__(self)
        self.backbone, self.classifier, self.num_features = (
            stage.backbone,
            stage.classifier,
            stage.num_features,
        )
        self.backbone.requires_grad_(False)
        self.frozen = True
        self.options = options
        weight = self.classifier.get_parameter("weight").detach().clone()
        # Only the direction of a cosine classifier's weights has an effect.
        self.register_buffer("first_weight", F.normalize(weight) if _is_cosine(self.classifier) else weight)
        self.register_buffer("confusing", torch.full((num_classes, options.confusing_classes), -1))
        self.train(self.training)

    def forward(self, images: Tensor, labels: Tensor | None = None, draw: Draw | None = None) -> Tensor:
        """Logits ``[B, C]`` float32 of images ``[B, 3, H, W]``, or of bundles if classes are given.

        A bundle consists of ``1 + N_a`` images of the head, one image of the tail and its N_a donors. The
        logits in the place of a donor are those of the feature made with it. ``draw(L)`` returns
        ``[bundles * N_a, L]``.
        """
        if labels is None or draw is None:
            return super().forward(images)
        *stages, pool = self.backbone
        maps = images
        for stage in stages:
            maps = stage(maps)
        made, size = self.options.augmented, self.options.bundle
        shown = maps.unflatten(0, (-1, size))
        classes = labels.view(-1, size)
        tail = shown[:, made + 1, None].expand(-1, made, -1, -1, -1).flatten(0, 1).float()
        donors = shown[:, made + 2 :].flatten(0, 1).float()
        of_tail = self.first_weight[classes[:, made + 1].repeat_interleave(made)]
        of_donors = self.first_weight[classes[:, made + 2 :].flatten()]
        new = made_features(
            (tail, class_activation(tail, of_tail)),
            (donors, class_activation(donors, of_donors)),
            draw(maps.shape[2] * maps.shape[3]).to(maps.device),
            self.options,
        )
        features = pool(maps).float().unflatten(0, (-1, size))
        features = torch.cat([features[:, : made + 2], pool(new).unflatten(0, (-1, made))], dim=1)
        return in_float32(self.classifier, features.flatten(0, 1))


def _is_cosine(classifier: nn.Module) -> bool:
    return not isinstance(classifier, nn.Linear)


class _Part(NamedTuple):
    batch: Batch
    rows: Tensor  # indices of its bundles in the step
    bundles: int  # number of bundles of the step
    key: tuple[int, int]  # epoch and step


class FeatureSpaceAugmentation(Classification):
    """The second phase of FSA."""

    network: AugmentedNetwork

    @classmethod
    def build_network(cls, config: Config, num_classes: int, pretrained: bool) -> nn.Module:
        """A network with the features and the classifier of ``config.init_from``, if ``pretrained``."""
        stage = first_stage(config, num_classes, load=pretrained)
        return AugmentedNetwork(stage, num_classes, config.fsa)

    def __init__(self, config: Config, data: ImageData, network: Any, accelerator: Any) -> None:
        super().__init__(config, data, network, accelerator)
        counts = data.class_counts
        self.tail = rarest_classes(counts, config.fsa.tail_fraction)
        self.head = ~self.tail & (counts > 0)
        heads, wanted = int(self.head.sum()), config.fsa.confusing_classes
        if not self.tail.any() or heads < wanted:
            raise UserError(
                f"fsa.tail_fraction: {config.fsa.tail_fraction} of {len(counts)} classes leaves {heads} in "
                f"the head and {int(self.tail.sum())} in the tail; expected a class in the tail, and in the "
                f"head fsa.confusing_classes={wanted} or more"
            )
        self._options.bundle = config.fsa.bundle
        self._batches = data.ordered_batches(self._order, self._options)

    def prepare(self) -> None:
        """Find the head classes that each tail class is confused with."""
        network = self.network

        def likelihoods(images: Tensor) -> Tensor:
            return network(images).softmax(1)

        scores = self.class_means(self.tail, likelihoods, len(self.tail))
        head, tail = (which.to(scores.device) for which in (self.head, self.tail))
        confusing = scores.masked_fill(~head, -1).topk(network.confusing.shape[1], dim=1).indices
        network.confusing.copy_(torch.where(tail[:, None], confusing, -1))

    def batches(self, epoch: int, first_step: int) -> Iterator[list[Any]]:
        """Parts that consist of whole bundles."""
        options = self._options
        for step, parts in enumerate(self._batches.epoch(epoch, first_step), start=first_step):
            count = len(parts[0].step_labels) // options.bundle
            own = own_parts(count, options.process, options.processes, options.accumulate)
            yield [_Part(batch, rows, count, (epoch, step)) for batch, (rows, _) in zip(parts, own)]

    def loss(self, model: nn.Module, part: _Part) -> Tensor:  # type: ignore[override]
        """The contribution of a part to the mean loss over the images and made features of its step."""
        made = self.config.fsa.augmented

        def draw(locations: int) -> Tensor:
            source = generator(self.config.seed, "locations", *part.key)
            drawn = torch.rand(part.bundles, made, locations, generator=source)
            return drawn[part.rows].flatten(0, 1)

        images, labels, step_labels = part.batch
        logits = model(images, labels, draw)
        return self._mean(logits, Batch(images, self._made(labels), self._made(step_labels)))

    def _made(self, labels: Tensor) -> Tensor:
        """Classes of the outputs for bundles: in the place of a donor, the class of the tail image."""
        made = self.config.fsa.augmented
        rows = labels.view(-1, self.config.fsa.bundle)
        return torch.cat([rows[:, : made + 2], rows[:, made + 1, None].expand(-1, made)], dim=1).flatten()

    def _order(self, epoch: int) -> Tensor:
        """Indices of the images of an epoch, ``[bundles, bundle]``."""
        labels, made = self.data.train_labels, self.config.fsa.augmented
        bundles = len(labels) // self.config.fsa.bundle
        source = generator(self.config.seed, "bundles", epoch)
        sampling = self.config.phase(epoch).sampling

        def classes(among: Tensor, count: int) -> Tensor:
            weight = class_probabilities(torch.where(among, self.data.class_counts, 0), sampling)
            return torch.multinomial(weight, count, replacement=True, generator=source)

        head = classes(self.head, bundles * (1 + made)).view(bundles, 1 + made)
        tail = classes(self.tail, bundles)
        confusing = self.network.confusing.cpu()[tail]
        donors = confusing[:, torch.arange(made) % confusing.shape[1]]
        return images_of_classes(labels, torch.cat([head, tail[:, None], donors], dim=1), source)

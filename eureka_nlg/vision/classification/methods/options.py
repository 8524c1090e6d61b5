"""The methods, and the options of those that have their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from eureka_nlg.errors import UserError
from eureka_nlg.vision.loop_config import check_at_least, described

__all__ = ["FsaConfig", "MbjConfig", "Method", "OltrConfig", "SECOND_STAGES"]

Method = Literal["plain", "bbn", "crt", "lws", "oltr", "fsa", "mbj"]
SECOND_STAGES: tuple[Method, ...] = ("crt", "lws", "oltr", "fsa")
"""Methods that start from the features of another run, given by ``init_from``."""


@dataclass
class OltrConfig:
    """Options of ``method: oltr``. Margin and its weight are from Liu et al. 2019, others from their code."""

    scale: float = field(default=16.0, metadata=described("factor of the cosine classifier's logits"))
    margin: float = field(
        default=5.0, metadata=described("margin by which a feature should be nearer to its class' centroid")
    )
    margin_weight: float = field(default=0.1, metadata=described("factor of the large-margin loss"))
    feature_rate: float = field(
        default=0.1,
        metadata=described("factor of the learning rate of features and centroids"),
    )
    attention: bool = field(default=True, metadata=described("modulated attention on the feature map"))

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise UserError(f"oltr.scale: {self.scale}, expected more than 0")
        for name in ("margin", "margin_weight", "feature_rate"):
            check_at_least(f"oltr.{name}", getattr(self, name), 0)


@dataclass
class FsaConfig:
    """Options of ``method: fsa``."""

    tail_fraction: float = field(
        default=0.5, metadata=described("share of the classes that are the tail, the rarest ones")
    )
    specific_threshold: float = field(
        default=0.8, metadata=described("least class activation of a class-specific location")
    )
    generic_threshold: float = field(
        default=0.2, metadata=described("class activation below which a location is class-generic")
    )
    confusing_classes: int = field(
        default=3, metadata=described("number of head classes that give generic features to a tail class")
    )
    augmented: int = field(default=3, metadata=described("number of features made of each tail image"))

    def __post_init__(self) -> None:
        if not 0 < self.tail_fraction < 1:
            raise UserError(f"fsa.tail_fraction: {self.tail_fraction}, expected a share between 0 and 1")
        low, high = self.generic_threshold, self.specific_threshold
        if not 0 < low <= high <= 1:
            raise UserError(
                f"fsa.generic_threshold, fsa.specific_threshold: {low}, {high}, expected "
                "0 < generic_threshold <= specific_threshold <= 1"
            )
        for name in ("confusing_classes", "augmented"):
            check_at_least(f"fsa.{name}", getattr(self, name), 1)

    @property
    def bundle(self) -> int:
        """Images of a bundle: 1 + augmented images of the head, the tail image, and its donors."""
        return 2 * (1 + self.augmented)


@dataclass
class MbjConfig:
    """Options of ``method: mbj``."""

    memory_size: int = field(
        default=2048,
        metadata=described("capacity of the memory in features, at most the number of training images"),
    )
    replayed: int = field(
        default=0, metadata=described("features that a step replays from the memory; 0: as many as images")
    )
    memory_weight: float = field(
        default=1.0, metadata=described("factor of the mean loss over the features from the memory")
    )
    power: float = field(
        default=1.0,
        metadata=described(
            "an image of a class with m images is stored with probability (m_min / m) ** power; with 1 all "
            "classes have the same share of the memory"
        ),
    )

    def __post_init__(self) -> None:
        check_at_least("mbj.memory_size", self.memory_size, 1)
        for name in ("replayed", "memory_weight", "power"):
            check_at_least(f"mbj.{name}", getattr(self, name), 0)

    def check_images(self, images: int) -> None:
        """Raise UserError if the memory is larger than the number of training images."""
        if self.memory_size > images:
            raise UserError(
                f"mbj.memory_size: {self.memory_size}, but there are {images} training images; "
                "expected as many or fewer"
            )

"""torchvision's RetinaNet with another classification loss."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eureka_nlg.errors import UserError, require
from eureka_nlg.vision.detection.config import DetectionConfig, DetectionModelConfig
from eureka_nlg.vision.detection.losses import build_loss

__all__ = ["build_network", "Anchors", "ClassificationHead", "DetectionHead"]

_models = require("torchvision.models", extra="vision")
_detection = require("torchvision.models.detection", extra="vision")
_ops = require("torchvision.ops", extra="vision")
AnchorGenerator: Any = _detection.anchor_utils.AnchorGenerator
RetinaNetClassificationHead: Any = _detection.retinanet.RetinaNetClassificationHead
RetinaNetHead: Any = _detection.retinanet.RetinaNetHead

_NORM: dict[str, Any] = {
    "frozen_batch": _ops.FrozenBatchNorm2d,
    "batch": nn.BatchNorm2d,
    "group": partial(nn.GroupNorm, 8),
}
_LEVELS = {"resnet50": 5, "small": 4}  # levels of the feature pyramid; the first has 1/8 of the resolution


def build_network(config: DetectionConfig, class_counts: Tensor, pretrained: bool = True) -> nn.Module:
    """The detector of a config. Its labels are the classes from 0 on; there is none for the background.

    Args:
        config: options of the run.
        class_counts: ``[K]`` training boxes of each class.
        pretrained: whether to load the weights in ``config.model.pretrained``; not needed if a checkpoint of
            the run is loaded afterwards.

    Raises:
        UserError: the class counts are invalid, or the weights cannot be read or do not fit.
    """
    model, data = config.model, config.data
    loss = build_loss(config.loss, class_counts)
    if model.backbone == "resnet50":
        backbone, head_norm = _resnet50(model, pretrained), None
    else:
        # Without normalisation, a head of few channels hardly learns from torchvision's small weights.
        backbone, head_norm = _small(_NORM[model.norm]), _NORM["group"]
    sides = [model.smallest_anchor * 2**level for level in range(_LEVELS[model.backbone])]
    anchors = Anchors(
        sizes=tuple(tuple(int(side * 2 ** (third / 3)) for third in range(3)) for side in sides),
        aspect_ratios=((0.5, 1.0, 2.0),) * len(sides),
    )
    [num_anchors] = set(anchors.num_anchors_per_location())
    head = DetectionHead(backbone.out_channels, num_anchors, len(class_counts), loss, head_norm)
    return _detection.RetinaNet(
        backbone,
        len(class_counts),
        min_size=data.min_size,
        max_size=data.max_size,
        anchor_generator=anchors,
        head=head,
        score_thresh=model.score_threshold,
        nms_thresh=model.overlap_threshold,
        detections_per_img=model.detections_per_image,
    )


class Anchors(AnchorGenerator):
    """Anchors in float32 for features of any dtype: in bfloat16 they would be off by several pixels."""

    def set_cell_anchors(self, dtype: torch.dtype, device: torch.device) -> None:
        """Move the anchors around the origin to a device."""
        super().set_cell_anchors(torch.float32, device)


class ClassificationHead(RetinaNetClassificationHead):
    """torchvision's classification head with another loss.

    Args:
        in_channels, num_anchors, num_classes, norm_layer: as in torchvision's head.
        loss: logits and 0/1 targets ``[N, K]`` -> summed loss.
    """

    def __init__(
        self, in_channels: int, num_anchors: int, num_classes: int, loss: nn.Module, norm_layer: Any = None
    ) -> None:
        super().__init__(in_channels, num_anchors, num_classes, norm_layer=norm_layer)
        self.loss = loss

    def compute_loss(
        self, targets: list[dict[str, Tensor]], head_outputs: dict[str, Tensor], matched_idxs: list[Tensor]
    ) -> Tensor:
        """Sum over the anchors of an image, divided by its number of matched anchors; mean over the images.

        Args:
            targets: for each image ``labels`` ``[n]`` of its boxes.
            head_outputs: ``cls_logits`` ``[B, A, K]``.
            matched_idxs: for each image ``[A]``, the box that each anchor is matched to; -1 for the
                background, -2 for anchors between the thresholds, which are ignored.
        """
        losses = []
        for target, logits, matched in zip(targets, head_outputs["cls_logits"], matched_idxs):
            foreground = matched >= 0
            present = torch.zeros_like(logits)
            present[foreground, target["labels"][matched[foreground]]] = 1.0
            counted = matched != self.BETWEEN_THRESHOLDS
            losses.append(self.loss(logits[counted], present[counted]) / foreground.sum().clamp(min=1))
        return torch.stack(losses).mean()


class DetectionHead(RetinaNetHead):
    """torchvision's two heads, with another classification loss and float32 outputs under autocast, too.

    Args:
        in_channels, num_anchors, num_classes, loss, norm_layer: as in :class:`ClassificationHead`.
    """

    def __init__(
        self, in_channels: int, num_anchors: int, num_classes: int, loss: nn.Module, norm_layer: Any = None
    ) -> None:
        super().__init__(in_channels, num_anchors, num_classes, norm_layer)
        self.classification_head = ClassificationHead(in_channels, num_anchors, num_classes, loss, norm_layer)

    def forward(self, x: list[Tensor]) -> dict[str, Tensor]:
        """Logits ``[B, A, K]`` and boxes ``[B, A, 4]`` relative to the anchors."""
        return {name: output.float() for name, output in super().forward(x).items()}


def _resnet50(model: DetectionModelConfig, pretrained: bool) -> Any:
    source = model.pretrained if pretrained else None
    backbone = _detection.backbone_utils.resnet_fpn_backbone(
        backbone_name="resnet50",
        weights=_models.ResNet50_Weights.IMAGENET1K_V1 if source == "imagenet" else None,
        norm_layer=_NORM[model.norm],
        trainable_layers=model.trainable_layers,
        returned_layers=[2, 3, 4],  # not the first, as Lin et al. 2017
        extra_blocks=_ops.feature_pyramid_network.LastLevelP6P7(256, 256),
    )
    if source is not None and source != "imagenet":
        _load(backbone.body, Path(source))
    return backbone


def _load(body: nn.Module, path: Path) -> None:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        body.load_state_dict({name: value for name, value in state.items() if not name.startswith("fc.")})
    except FileNotFoundError:
        raise UserError(f"model.pretrained {path}: no such file") from None
    except (
        *(RuntimeError, EOFError, AttributeError, pickle.UnpicklingError, ValueError, TypeError),
        *(KeyError, IndexError, AssertionError, OverflowError, MemoryError),
    ) as error:  # torch's reader raises any of these for truncated or changed files
        reason = str(error).splitlines()[-1].strip() if str(error) else type(error).__name__
        raise UserError(
            f"model.pretrained {path}: expected the state dict of torchvision's resnet50: {reason}"
        ) from error


def _small(norm: Any) -> Any:
    """Five stages of two convolutions that halve the resolution; the last three feed the pyramid."""
    widths = (16, 32, 64, 128, 128)
    stages = [
        nn.Sequential(
            _ops.Conv2dNormActivation(narrow, wide, stride=2, norm_layer=norm),
            _ops.Conv2dNormActivation(wide, wide, norm_layer=norm),
        )
        for narrow, wide in zip((3, *widths), widths)
    ]
    body = nn.Sequential(OrderedDict((f"stage{i}", stage) for i, stage in enumerate(stages, start=1)))
    # BackboneWithFPN adds a fourth level with half the resolution.
    levels = {"stage3": "0", "stage4": "1", "stage5": "2"}
    return _detection.backbone_utils.BackboneWithFPN(body, levels, list(widths[2:]), out_channels=64)

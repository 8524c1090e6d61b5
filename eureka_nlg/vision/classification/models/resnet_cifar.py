"""ResNet for 32 x 32 images (He et al. 2016, section 4.2)."""

from __future__ import annotations

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["cifar_resnet"]


class _BasicBlock(nn.Module):
    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.added = channels - channels_in

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride != 1 or self.added:
            # Option A of the paper, without parameters: every second pixel, and zeros for new channels.
            before = self.added // 2
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.added - before))
        return F.relu(out + x)


def cifar_resnet(depth: int = 32) -> tuple[nn.Sequential, int]:
    """Backbone of ``6 n + 2`` layers: a convolution, three stages of n blocks (16, 32, 64 channels), pooling.

    Convolutions have Kaiming normal initial weights (fan-in), as in Cao et al. 2019.

    Returns:
        The backbone, images ``[B, 3, 32, 32]`` -> features ``[B, 64]``; and 64, the number of features.

    Raises:
        ValueError: there is no such network of this depth.
    """
    blocks, rest = divmod(depth - 2, 6)
    if rest or blocks < 1:
        raise ValueError(f"depth must be 6 n + 2, got {depth}")
    channels_in, stages = 16, OrderedDict[str, nn.Module]()
    stages["stem"] = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)
    )
    for number, channels in enumerate((16, 32, 64), start=1):
        stage = []
        for block in range(blocks):
            stride = 2 if number > 1 and block == 0 else 1
            stage.append(_BasicBlock(channels_in, channels, stride))
            channels_in = channels
        stages[f"stage{number}"] = nn.Sequential(*stage)
    stages["pool"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    backbone = nn.Sequential(stages)
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return backbone, channels_in

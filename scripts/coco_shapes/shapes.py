"""Draw an image of shapes on textured ground, with the mask of every shape that can be seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError

__all__ = ["SHAPES", "DrawnObject", "draw_image"]

Array = NDArray[Any]
Inside = Callable[[Array, Array], Array]
"""Coordinates in which the shape lies in the unit circle -> whether they are in the shape."""

_SMALLEST, _LARGEST = 0.05, 0.38  # radius over the longer side of the image
_LEAST_RADIUS = 6.0  # pixels
_LEAST_VISIBLE = 0.5  # of an object's pixels, behind others and across the border together
_LEAST_PIXELS = 16
_FINER = 3  # samples of a pixel's side, for smooth edges
_ATTEMPTS = 200
_CROWD_SPREAD, _CROWD_RADIUS = 0.2, (0.035, 0.06)


def _polar(u: Array, v: Array, folds: int) -> tuple[Array, Array]:
    """Radius, and angle to the nearest of ``folds`` rays."""
    step = 2 * math.pi / folds
    angle = np.arctan2(v, u)
    return np.hypot(u, v), np.abs((angle + step / 2) % step - step / 2)


def _star(u: Array, v: Array) -> Array:
    # From a tip (1, 0) straight to the corner between two tips, at radius 0.42.
    radius, angle = _polar(u, v, 5)
    x, y = 0.42 * math.cos(math.pi / 5), 0.42 * math.sin(math.pi / 5)
    return (radius * np.cos(angle) - 1) * y + radius * np.sin(angle) * (1 - x) <= 0


def _triangle(u: Array, v: Array) -> Array:
    radius, angle = _polar(-u, v, 3)  # rays to the middle of the sides
    return radius * np.cos(angle) <= 0.5


SHAPES: dict[str, Inside] = {
    "disc": lambda u, v: np.hypot(u, v) <= 0.9,
    "square": lambda u, v: np.maximum(np.abs(u), np.abs(v)) <= 0.72,
    "triangle": _triangle,
    "ring": lambda u, v: np.abs(np.hypot(u, v) - 0.72) <= 0.2,
    "cross": lambda u, v: (np.minimum(np.abs(u), np.abs(v)) <= 0.26) & (np.maximum(abs(u), abs(v)) <= 0.92),
    "star": _star,
}
"""The classes, in the order of their frequency on a long tail."""


@dataclass
class DrawnObject:
    """A shape, or a crowd of one kind of shapes.

    Attributes:
        label: index into :data:`SHAPES`.
        crowd: whether it is a crowd.
        mask: ``[H, W]`` bool, the pixels where it can be seen.
    """

    label: int
    crowd: bool
    mask: Array


@dataclass
class _Stamp:
    """Coverage ``[h, w]`` of a shape by pixel, from 0 to 1, whose first pixel is at ``left``, ``top``."""

    coverage: Array
    left: int
    top: int

    def on(self, height: int, width: int) -> Array:
        """The part that lies in an image, in the image's size."""
        whole = np.zeros((height, width))
        rows, columns = self.coverage.shape
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + rows, height), min(self.left + columns, width)
        if top < bottom and left < right:
            whole[top:bottom, left:right] = self.coverage[
                top - self.top : bottom - self.top, left - self.left : right - self.left
            ]
        return whole


class _Scene:
    """Pixels painted so far, and what can be seen of the objects among them."""

    def __init__(self, random: np.random.Generator, height: int, width: int) -> None:
        self.random = random
        self.height, self.width = height, width
        self.pixels = _ground(random, height, width)
        self.objects: list[DrawnObject] = []
        self.whole_areas: list[int] = []

    def add(self, label: int, *, crowd: bool = False) -> bool:
        """Put an object in front of the others where each of them stays visible; False if nowhere."""
        side = max(self.height, self.width)
        smallest = max(side * _SMALLEST, _LEAST_RADIUS)
        radius = smallest * (side * _LARGEST / smallest) ** self.random.random()
        for _ in range(_ATTEMPTS):
            x, y = self.random.random(2) * (self.width, self.height)
            stamps = self._crowd(label, x, y, side) if crowd else [self._stamp(label, x, y, radius)]
            if self._try(label, stamps, crowd):
                return True
            radius = max(0.95 * radius, smallest)
        return False

    def _try(self, label: int, stamps: list[_Stamp], crowd: bool) -> bool:
        layers = [stamp.on(self.height, self.width) for stamp in stamps]
        mask = np.max(layers, axis=0) >= 0.5
        whole = sum(int((stamp.coverage >= 0.5).sum()) for stamp in stamps)
        remaining = [item.mask & ~mask for item in self.objects]
        areas = [*(int(left.sum()) for left in remaining), int(mask.sum())]
        if any(
            area < max(_LEAST_PIXELS, _LEAST_VISIBLE * full)
            for area, full in zip(areas, [*self.whole_areas, whole])
        ):
            return False
        for item, left in zip(self.objects, remaining):
            item.mask = left
        self.objects.append(DrawnObject(label, crowd, mask))
        self.whole_areas.append(whole)
        for layer in layers:
            self._paint(layer)
        return True

    def _crowd(self, label: int, x: float, y: float, side: int) -> list[_Stamp]:
        """Eight to fourteen small shapes around a point."""
        stamps = []
        for _ in range(self.random.integers(8, 15)):
            distance, angle = self.random.random(2)
            distance = _CROWD_SPREAD * side * math.sqrt(distance)
            low, high = _CROWD_RADIUS
            stamps.append(
                self._stamp(
                    label,
                    x + distance * math.cos(2 * math.pi * angle),
                    y + distance * math.sin(2 * math.pi * angle),
                    side * (low + (high - low) * self.random.random()),
                )
            )
        return stamps

    def _stamp(self, label: int, x: float, y: float, radius: float) -> _Stamp:
        angle, stretch = self.random.random(2)
        angle *= 2 * math.pi
        half_width, half_height = radius * 1.25 ** (2 * stretch - 1), radius * 1.25 ** (1 - 2 * stretch)
        reach = math.ceil(max(half_width, half_height)) + 1
        left, top = math.floor(x) - reach, math.floor(y) - reach
        samples = (np.arange((2 * reach + 1) * _FINER) + 0.5) / _FINER
        dx, dy = samples[None, :] + (left - x), samples[:, None] + (top - y)
        u = (dx * math.cos(angle) + dy * math.sin(angle)) / half_width
        v = (dy * math.cos(angle) - dx * math.sin(angle)) / half_height
        inside = list(SHAPES.values())[label](u, v)
        pixels = 2 * reach + 1
        return _Stamp(inside.reshape(pixels, _FINER, pixels, _FINER).mean(axis=(1, 3)), left, top)

    def _paint(self, coverage: Array) -> None:
        behind = self.pixels[coverage >= 0.5].mean(axis=0) if (coverage >= 0.5).any() else 128.0
        color = _color(self.random, behind)
        texture = _texture(self.random, self.height, self.width)[..., None] * (15 + 30 * self.random.random())
        self.pixels += coverage[..., None] * (color + texture - self.pixels)


def draw_image(
    random: np.random.Generator, labels: Sequence[int], size: int, crowd: int | None = None
) -> tuple[Array, list[DrawnObject]]:
    """Draw shapes, each hiding at most half of any other, among strokes and noise.

    Args:
        random: where every choice comes from.
        labels: classes of the shapes, indices into :data:`SHAPES`.
        size: longer side in pixels; the shorter one has at least three quarters of it.
        crowd: class of a crowd to draw among them.

    Returns:
        Pixels ``[H, W, 3]`` uint8 and the objects, as many as asked for.

    Raises:
        UserError: there is no room for so many.
    """
    shorter = round(size * (0.75 + 0.25 * random.random()))
    height, width = (size, shorter) if random.random() < 0.5 else (shorter, size)
    scene = _Scene(random, height, width)
    placed = (crowd is None or scene.add(crowd, crowd=True)) and all(scene.add(label) for label in labels)
    if not placed:
        raise UserError(
            f"no room for {len(labels)} shapes in {width} x {height} pixels: "
            "give a larger size, or fewer objects"
        )
    noise = random.standard_normal(scene.pixels.shape) * (4 + 10 * random.random())
    return (scene.pixels + noise).round().clip(0, 255).astype(np.uint8), scene.objects


def _ground(random: np.random.Generator, height: int, width: int) -> Array:
    """Two colours mixed by a texture, with strokes that belong to no class."""
    first = _color(random)
    mixture = 0.5 + 0.5 * _texture(random, height, width)[..., None]
    pixels = first + mixture * 0.6 * (_color(random) - first)
    rows, columns = np.mgrid[:height, :width]
    for _ in range(random.integers(3, 9)):
        x, y, angle, length, thickness = random.random(5)
        dx, dy = columns - x * width, rows - y * height
        along = dx * math.cos(2 * math.pi * angle) + dy * math.sin(2 * math.pi * angle)
        across = dy * math.cos(2 * math.pi * angle) - dx * math.sin(2 * math.pi * angle)
        beyond = np.maximum(np.abs(along) - max(height, width) * (0.05 + 0.25 * length), 0)
        coverage = (1 + 2 * thickness - np.hypot(beyond, across)).clip(0, 1)[..., None]
        pixels += coverage * (_color(random) - pixels)
    return pixels


def _texture(random: np.random.Generator, height: int, width: int) -> Array:
    """``[H, W]`` in [-1, 1]: noise of three grains, or stripes, or both."""
    texture = np.zeros((height, width))
    for cells in (3, 8, 20):
        grid = 2 * random.random((cells + 1, cells + 1)) - 1
        texture += _enlarged(grid, height, width) / 2
    if random.random() < 0.4:
        angle, wave = math.pi * random.random(), 4 + 10 * random.random()
        rows, columns = np.mgrid[:height, :width]
        texture += np.sin(2 * math.pi * (rows * math.cos(angle) + columns * math.sin(angle)) / wave)
    return texture.clip(-1, 1)


def _enlarged(grid: Array, height: int, width: int) -> Array:
    """Bilinear, corner to corner."""
    for axis, length in enumerate((height, width)):
        place = np.linspace(0, grid.shape[axis] - 1, length)
        low = place.astype(int).clip(max=grid.shape[axis] - 2)
        share = (place - low).reshape((-1, 1) if axis == 0 else (1, -1))
        grid = grid.take(low, axis) * (1 - share) + grid.take(low + 1, axis) * share
    return grid


def _color(random: np.random.Generator, behind: Any = None) -> Array:
    """A random colour; not too close to the one behind it."""
    while True:
        color = 30 + 200 * random.random(3)
        if behind is None or np.abs(color - behind).sum() > 110:
            return color

"""Decoding of image files, in the same way for all tasks: upright, RGB, eight bits.

The EXIF orientation of cameras is applied, so that pixels, sizes and boxes are those of the picture as seen.
Transparency is dropped, as in torchvision's loader, and of several frames the first is read.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from eureka_nlg.errors import UserError, require

__all__ = ["PictureError", "read_picture", "picture_problem", "upright_size"]

_ORIENTATION = 0x0112
# EXIF orientation -> the operation that makes the picture upright; from 5 on it swaps width and height
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


class PictureError(UserError):
    """An image that cannot be read; ``reason`` says why, without its name."""

    def __init__(self, name: object, reason: str) -> None:
        super().__init__(f"{name}: cannot be read: {reason}")
        self.reason = reason

    def __reduce__(self) -> Any:  # worker processes send it to the training process
        name, _, _ = str(self).partition(": cannot be read: ")
        return type(self), (name, self.reason)


def read_picture(source: Path | bytes, name: str | None = None) -> Any:
    """Decode an image.

    Args:
        source: a file, or its content.
        name: name of the image in errors; by default the path.

    Returns:
        A Pillow image in RGB, upright.

    Raises:
        PictureError: it cannot be decoded, or its pixels are numbers of an unknown range.
    """
    try:
        with _opened(source) as image:
            return _upright_rgb(image)
    except Exception as error:  # decoders raise all kinds of errors for truncated or malicious files
        raise PictureError(name or source, _reason(error, source)) from error


def picture_problem(
    path: Path, *, size: tuple[int, int] | None = None, decode: bool = True
) -> tuple[str, str]:
    """Find out what is wrong with an image file.

    Args:
        path: the file.
        size: expected width and height of the upright picture; None for any.
        decode: whether to decode the image (JPEGs at an eighth of their size, which still reads the whole
            file) instead of reading only the header.

    Returns:
        The kind of the problem, as in "5 missing images", and details about this file; both are empty if
        there is no problem.
    """
    try:
        with _opened(path) as image:
            upright = upright_size(image, decode)
            if size is not None and upright != size:
                turned = ", upright by its EXIF orientation" if upright != image.size else ""
                return (
                    "images of another size than the file says",
                    f"{upright[0]} x {upright[1]}{turned}, not {size[0]} x {size[1]}",
                )
            if decode:
                image.draft("RGB", (max(image.width // 8, 1), max(image.height // 8, 1)))
                _upright_rgb(image)
    except FileNotFoundError:
        return "missing images", ""
    except Exception as error:
        return "unreadable images", _reason(error, path)
    return "", ""


def upright_size(image: Any, decode: bool = False) -> tuple[int, int]:
    """Width and height of an opened Pillow image once it is upright.

    Args:
        image: as ``PIL.Image.open`` returns it.
        decode: whether to also read behind the pixels, where PNG files may have their orientation.
    """
    if image.format == "TIFF":  # Pillow applies the orientation itself, to the size as well
        return image.size
    if image.format == "PNG" and not decode and "exif" not in image.info:
        return image.size
    return (image.height, image.width) if _orientation(image) >= 5 else image.size


def _orientation(image: Any) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # other programs ignore a broken EXIF block, too
        return 1
    return value if value in _TURNS else 1


def _opened(source: Path | bytes) -> Any:
    image_module = require("PIL.Image", extra="vision")
    return image_module.open(io.BytesIO(source) if isinstance(source, bytes) else source)


def _upright_rgb(image: Any) -> Any:
    image_module = require("PIL.Image", extra="vision")
    image.load()
    orientation = _orientation(image)
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255, which makes almost every pixel white.
        values = np.asarray(image).astype(np.uint32)
        image = image_module.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ValueError(
            f"its pixels are 32-bit numbers of unknown range (mode {image.mode}), save it with 8 or 16 bits"
        )
    image = image.convert("RGB")
    if orientation == 1:
        return image
    return image.transpose(getattr(image_module.Transpose, _TURNS[orientation]))


def _reason(error: Exception, source: Path | bytes) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text if isinstance(source, bytes) else text.replace(str(source), source.name)

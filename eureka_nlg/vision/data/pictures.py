"""How an image file becomes pixels, the same way everywhere: upright, RGB, eight bits.

A camera's EXIF orientation is applied, so that pixels, sizes and boxes are those of the picture as seen.
Transparency is dropped, as torchvision's loader does; of several frames the first is taken.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from eureka_nlg.errors import UserError, require

__all__ = ["PictureError", "read_picture", "picture_problem", "upright_size"]

_ORIENTATION = 0x0112
# values of the EXIF orientation -> what makes the picture upright; from 5 on it exchanges width and height
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

    def __reduce__(self) -> Any:  # a worker process sends it on
        name, _, _ = str(self).partition(": cannot be read: ")
        return type(self), (name, self.reason)


def read_picture(source: Path | bytes, name: str | None = None) -> Any:
    """Decode an image.

    Args:
        source: a file, or its content.
        name: what an error calls it; default the path.

    Returns:
        A Pillow image in RGB, upright.

    Raises:
        PictureError: whatever keeps it from being decoded; or its numbers have no known range.
    """
    try:
        with _opened(source) as image:
            return _upright_rgb(image)
    except Exception as error:  # decoders raise nearly everything, on files that are cut or hostile
        raise PictureError(name or source, _reason(error, source)) from error


def picture_problem(
    path: Path, *, size: tuple[int, int] | None = None, decode: bool = True
) -> tuple[str, str]:
    """What is wrong with an image file.

    Args:
        path: of the file.
        size: width and height that the upright picture is to have.
        decode: decode it (a JPEG at an eighth of its size, which reads all of it); else read the header.

    Returns:
        Kind of the problem, as in "5 missing images", and what to say of this file; empty if there is none.
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
        decode: look behind the pixels too, where a PNG file may hide its orientation.
    """
    if image.format == "TIFF":  # Pillow turns it, and says so from the start
        return image.size
    if image.format == "PNG" and not decode and "exif" not in image.info:
        return image.size
    return (image.height, image.width) if _orientation(image) >= 5 else image.size


def _orientation(image: Any) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a broken EXIF block says nothing of the orientation, to any program
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
        # Pillow's own conversion cuts off at 255, which makes nearly all of it white.
        values = np.asarray(image).astype(np.uint32)
        image = image_module.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ValueError(
            f"its pixels are numbers of 32 bits of no known range (mode {image.mode}), save it with 8 or 16"
        )
    image = image.convert("RGB")
    if orientation == 1:
        return image
    return image.transpose(getattr(image_module.Transpose, _TURNS[orientation]))


def _reason(error: Exception, source: Path | bytes) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text if isinstance(source, bytes) else text.replace(str(source), source.name)

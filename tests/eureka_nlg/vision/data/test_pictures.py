"""One way from file to pixels: upright, RGB, eight bits, and one kind of error."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eureka_nlg.errors import UserError
from eureka_nlg.vision.data.pictures import PictureError, picture_problem, read_picture

Image = pytest.importorskip("PIL.Image")

# what the camera stored for an upright picture of two rows and three columns, by EXIF orientation
UPRIGHT = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: np.rot90(UPRIGHT),
    7: UPRIGHT[::-1, ::-1].T,
    8: np.rot90(UPRIGHT, -1),
}


def saved(path: Path, pixels: np.ndarray, orientation: int | None = None) -> Path:
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, exif=exif)
    return path


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("ending", ["png", "tiff", "webp"])
def test_pictures_are_upright(orientation: int, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture.{ending}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(np.ascontiguousarray(STORED[orientation])).convert("RGB")
    picture.save(path, exif=exif, **({"lossless": True} if ending == "webp" else {}))
    expected = np.stack([UPRIGHT] * 3, axis=2)
    assert np.array_equal(np.asarray(read_picture(path)), expected)
    assert np.array_equal(np.asarray(read_picture(path.read_bytes())), expected)
    for decode in (False, True):
        assert picture_problem(path, size=(3, 2), decode=decode) == ("", "")
    kind, said = picture_problem(path, size=(2, 3))
    assert kind == "images of another size than the file says"
    turned = ", upright by its EXIF orientation" if orientation >= 5 and ending != "tiff" else ""
    assert said == f"3 x 2{turned}, not 2 x 3"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_broken_orientation_is_none(tmp_path: Path) -> None:
    for number, value in enumerate((0, 9, 77)):
        path = saved(tmp_path / f"{number}.png", UPRIGHT, value)
        assert np.array_equal(np.asarray(read_picture(path))[..., 0], UPRIGHT)
    Image.fromarray(UPRIGHT).save(tmp_path / "broken.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f", quality=95)
    assert read_picture(tmp_path / "broken.jpg").size == (3, 2)


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    """Each of the 65,536 values is the nearest of 256, as 255 / 65535 of it."""
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = np.round(values.astype(float) * 255 / 65535).astype(np.uint8)
    for ending in ("png", "tiff"):
        Image.fromarray(values).save(tmp_path / f"deep.{ending}")
        got = np.asarray(read_picture(tmp_path / f"deep.{ending}"))
        assert all(np.array_equal(got[..., channel], expected) for channel in range(3))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_modes_that_have_a_colour(mode: str, tmp_path: Path) -> None:
    grey = Image.fromarray(np.full((4, 5), 255, dtype=np.uint8))
    ending = {"CMYK": "tiff", "YCbCr": "tiff"}.get(mode, "png")
    grey.convert("RGB").convert(mode).save(tmp_path / f"picture.{ending}")
    got = np.asarray(read_picture(tmp_path / f"picture.{ending}"))
    assert got.shape == (4, 5, 3)
    assert got.min() >= 250


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_numbers_of_no_known_range_are_refused(dtype: Any, tmp_path: Path) -> None:
    path = tmp_path / "numbers.tiff"
    Image.fromarray(np.zeros((4, 5), dtype=dtype)).save(path)
    with pytest.raises(UserError, match=rf"^{path}: cannot be read: its pixels are 32-bit numbers"):
        read_picture(path)
    with pytest.raises(PictureError) as caught:
        read_picture(path)
    sent = pickle.loads(pickle.dumps(caught.value))
    assert (str(sent), sent.reason) == (str(caught.value), caught.value.reason)
    assert picture_problem(path)[0] == "unreadable images"


@pytest.mark.parametrize("size", [(7, 40), (40, 7), (1, 1), (8, 8)])
def test_small_jpegs_are_whole(size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "small.jpg"
    Image.new("RGB", size).save(path)
    assert picture_problem(path, size=size) == ("", "")
    assert read_picture(path).size == size


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore:.*decompression bomb")
def test_every_broken_file_is_one_kind_of_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut, changed and hostile files: whatever the decoder raises is one error that names the file."""
    random = np.random.default_rng(0)
    noise = Image.fromarray(random.integers(0, 255, (24, 24, 3)).astype(np.uint8))
    path = tmp_path / "broken"
    errors = []
    for ending in ("png", "jpeg", "gif", "bmp", "tiff", "webp", "ppm"):
        noise.save(path, ending)
        whole = path.read_bytes()
        for _ in range(30):
            content = bytearray(whole[: int(random.integers(1, len(whole)))])
            for position in random.integers(0, len(content), 3):
                content[position] = random.integers(0, 256)
            path.write_bytes(content)
            assert picture_problem(path)[0] in ("", "unreadable images")
            try:
                read_picture(path)
            except UserError as error:
                errors.append(str(error))
    assert len(errors) > 100
    assert all(error.startswith(f"{path}: cannot be read: ") and "\n" not in error for error in errors)
    noise.save(path, "png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # 24 x 24 is a bomb then
    assert picture_problem(path)[0] == "unreadable images"
    with pytest.raises(UserError, match="decompression bomb"):
        read_picture(path)
    assert picture_problem(tmp_path / "none") == ("missing images", "")

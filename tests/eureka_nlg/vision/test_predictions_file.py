"""Files of predictions, and `eureka vision compare` of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eureka_nlg.cli.main import main
from eureka_nlg.errors import UserError
from eureka_nlg.files import output_file
from eureka_nlg.vision.predictions_file import read_predictions, write_predictions

pytest.importorskip("scipy")

COUNTS = np.array([300, 40, 5])
LABELS = np.arange(3).repeat(30)


def predictions(num_right: int) -> dict[str, np.ndarray]:
    """So many of the thirty images of each class are right, the others of the class after it."""
    right = np.tile(np.arange(30) < num_right, 3)
    sure = np.where(right, 0.75, 0.5)
    return {
        "predicted": np.where(right, LABELS, (LABELS + 1) % 3),
        "confidence": sure,
        "likelihood": np.where(right, sure, 0.25),
        "labels": LABELS,
        "class_counts": COUNTS,
    }


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    for name, number in (("ce", 20), ("el", 29)):
        write_predictions(tmp_path / name / "predictions.npz", **predictions(number))
    return [str(tmp_path / "ce"), str(tmp_path / "el")]


def test_what_is_read_is_what_was_written(files: list[str]) -> None:
    found = read_predictions(files[1])
    for name, values in predictions(29).items():
        np.testing.assert_array_equal(getattr(found, name), values)
    assert read_predictions(Path(files[1]) / "predictions.npz").sha256 == found.sha256


def test_the_command(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "compared.json"
    command = ["vision", "compare", files[0], f"Eureka={files[1]}", "--resamples", "99", "--json", str(out)]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0].split() == ["metric", "ce", "Eureka", "difference", "p"]
    row = next(line for line in shown.splitlines() if line.startswith("accuracy (%)"))
    assert "66.67 [" in row
    assert "96.67 [" in row
    assert "+30.00 [" in row
    assert row.rstrip().endswith("0.01 ▲")
    assert "90 images, 95 % confidence intervals" in shown
    assert "99 resamples, seed 1" in shown
    assert "natural: classes weighted by their training count" in shown
    assert f"wrote {out}\nnext: eureka report {' '.join(files)} --out report.html\n" in shown
    document = json.loads(out.read_text())
    assert document["scores"]["calibration_error"]["ce"]["value"] == pytest.approx(
        100 * (2 / 3 * 0.25 + 0.5 / 3)
    )
    assert document["signature"]["inputs"]["Eureka"]["name"] == "el"
    assert len(document["signature"]["inputs"]["ce"]["sha256"]) == 64
    assert main(command) == 0  # its own file is replaced
    corrected = [*command[:-2], "--holm", "--confidence", "90", "--seed", "2"]
    assert main(corrected) == 0
    shown = capsys.readouterr().out
    assert "and Holm's correction" in shown
    assert "90 % confidence intervals" in shown


def test_names_are_the_ends_of_paths(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("one", "two"):
        write_predictions(tmp_path / folder / "adjusted.npz", **predictions(25))
    adjusted = [str(tmp_path / folder / "adjusted.npz") for folder in ("one", "two")]
    for arguments, names in (
        ([files[0], adjusted[0]], ["ce", "adjusted"]),
        (adjusted, ["one/adjusted", "two/adjusted"]),
        ([files[0], f"b={adjusted[0]}"], ["ce", "b"]),
    ):
        assert main(["vision", "compare", *arguments, "--resamples", "9"]) == 0
        assert capsys.readouterr().out.split()[1:3] == names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{ce}", "{ce}"], "expected one for each run, all different"),
        (["A={ce}", "A={el}"], "names are A, A: expected different ones: give names, NAME=RUN"),
        (["{tmp}"], "has no predictions.npz, which `eureka vision train` writes at the end"),
        (["{tmp}/nowhere"], "nowhere: No such file or directory; expected predictions"),
        (["{ce}", "--resamples", "0"], "num_resamples is 0"),
        (["{ce}", "--seed", "4294967296"], "seed: 4294967296, expected 0 to 4,294,967,295"),
        (["{ce}", "{tmp}/labels.npz"], "labels.npz: its test images differ from those of"),
        (["{ce}", "{tmp}/counts.npz"], "counts.npz: its training images by class differ from those of"),
        (["{ce}", "--json", "{ce}/predictions.npz"], "exists and is predictions, not JSON"),
    ],
)
def test_bad_input_is_one_line(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    write_predictions(tmp_path / "labels.npz", **{**predictions(20), "labels": LABELS[::-1]})
    write_predictions(tmp_path / "counts.npz", **{**predictions(20), "class_counts": COUNTS[::-1]})
    filled = [argument.format(ce=files[0], el=files[1], tmp=tmp_path) for argument in arguments]
    assert main(["vision", "compare", *filled]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def saved(path: Path, **changes: Any) -> None:
    arrays = {**predictions(20), **changes}
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b""), "not predictions of a classifier"),
        (lambda path: path.write_text("text"), "not predictions of a classifier"),
        (lambda path: path.write_bytes(b"PK\x03\x04...."), "not predictions of a classifier"),
        (lambda path: np.save(path, LABELS), "No such file"),
        (lambda path: saved(path, labels=None), "it has no labels"),
        (lambda path: saved(path, labels=LABELS[:-1]), "expected one entry of each for every image"),
        (lambda path: saved(path, labels=LABELS.reshape(2, 45)), r"labels is int64 \[2, 45\], expected one"),
        (lambda path: saved(path, predicted=LABELS * 1.5), "predicted is float64"),
        (lambda path: saved(path, predicted=LABELS.astype(object)), "not predictions of a classifier"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, write: Any, message: str) -> None:
    path = tmp_path / "file.npz"
    write(path)
    if path.with_name("file.npz.npy").exists():  # numpy's suffix
        path.with_name("file.npz.npy").rename(path)
        message = "one array, expected an npz archive"
    with pytest.raises(UserError, match=message):
        read_predictions(path)


def test_a_file_that_was_cut_short_is_refused(files: list[str]) -> None:
    path = Path(files[0]) / "predictions.npz"
    content = path.read_bytes()
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        with pytest.raises(UserError, match="not predictions of a classifier"):
            read_predictions(path)


def test_predictions_replace_predictions_and_nothing_else(files: list[str], tmp_path: Path) -> None:
    assert output_file(Path(files[0]) / "predictions.npz", "--predictions", "predictions")
    np.savez(tmp_path / "weights.npz", weight=COUNTS)
    with pytest.raises(UserError, match="is a zip archive, as checkpoints are, not predictions"):
        output_file(tmp_path / "weights.npz", "--predictions", "predictions")

"""The compiled passes against those on torch's operations in float64, which the formulas are held to."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from loss_cases import LOSSES, assert_same, loss, random_logits, random_target
from torch import Tensor

from eureka_nlg import c_library
from eureka_nlg.losses.kernels import RowStatistics, native, passes_for, portable
from eureka_nlg.losses.modules import LogitsLoss
from eureka_nlg.losses.objectives import Focal

ROOT = Path(__file__).resolve().parents[3]
needs_native = pytest.mark.skipif(not native.is_available(), reason="the passes in C were not compiled")
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])

BLOCK = 1024  # classes that the C code takes at once
SIZES = [1, 2, 7, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 1, 5000]


def test_compiled_wherever_it_can_be() -> None:
    """Otherwise the tests of the compiled passes would be skipped and nobody would know."""
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("no C compiler that the passes are written for")
    assert native.is_available()
    assert passes_for(torch.zeros(1, 2)) is native
    assert passes_for(torch.zeros(1, 2, dtype=torch.bfloat16)) is native
    assert passes_for(torch.zeros(1, 2, dtype=torch.float64)) is portable
    assert passes_for(torch.zeros(1, 2, dtype=torch.float16)) is portable
    assert passes_for(torch.zeros(1, 2, device="meta")) is portable


def test_clang_compiles_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As macOS does, and some Linux: setup.py finds the flags, and the numbers are the same."""
    if shutil.which("clang") is None:
        pytest.skip("needs clang")
    command = [sys.executable, "setup.py", "--quiet", "build_ext"]
    command += ["--build-lib", str(tmp_path / "lib"), "--build-temp", str(tmp_path / "objects")]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "CC": "clang"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    paths = sorted((tmp_path / "lib").rglob("_native.so"))
    assert [path.parents[1].name for path in paths] == ["losses", "fairseq_plugins"]
    assert all(b"clang" in path.read_bytes() for path in paths)  # the compiler's own note
    library = c_library.load_file(str(paths[0]), native._ABI_VERSION)
    assert library is not None
    library = native._typed(library)
    monkeypatch.setattr(native, "_library", lambda: library)
    torch.manual_seed(3)
    for num_classes in SIZES:
        target = torch.randint(num_classes, (70,))
        # label smoothing cancels, where one rounding more than with fused multiply and add can be seen
        assert_agree(3 * torch.randn(70, num_classes), target, torch.rand(num_classes))
        assert_agree(torch.randn(70, num_classes).bfloat16(), target)


def in_float64(values: Tensor | None) -> Tensor | None:
    return None if values is None else values.double()


def both(
    logits: Tensor, target: Tensor, weight: Tensor | None = None, uniform: bool = False
) -> tuple[tuple[RowStatistics, Tensor], tuple[RowStatistics, Tensor]]:
    """Statistics and gradient of the compiled passes, and of the others in float64."""
    num_rows = len(logits)
    of_log_odds = torch.linspace(-1.0, 2.0, num_rows)
    of_uniform = torch.linspace(0.3, -0.5, num_rows) if uniform else None
    out = torch.full(logits.shape, 7.0, dtype=logits.dtype)
    rows = native.row_statistics(logits, target, weight, uniform)
    native.write_gradient(logits, target, weight, rows, of_log_odds, of_uniform, out)

    exact_logits, exact_weight = logits.double(), in_float64(weight)
    exact_out = torch.full(logits.shape, 7.0, dtype=torch.float64)
    exact_rows = portable.row_statistics(exact_logits, target, exact_weight, uniform)
    portable.write_gradient(
        exact_logits,
        target,
        exact_weight,
        exact_rows,
        of_log_odds.double(),
        in_float64(of_uniform),
        exact_out,
    )
    return (rows, out), (exact_rows, exact_out)


def assert_agree(
    logits: Tensor, target: Tensor, weight: Tensor | None = None, uniform: bool = False
) -> tuple[RowStatistics, Tensor]:
    """Compare, and return what the compiled passes found."""
    (rows, gradient), (exact_rows, exact_gradient) = both(logits, target, weight, uniform)
    kept = target >= 0
    for name, one, other in zip(rows._fields, rows, exact_rows):
        if other is None:
            assert one is None, name
            continue
        # the uniform cost is a difference of numbers of the size of the logits
        largest = max([1.0, *logits[logits.isfinite()].abs().double().tolist()])
        tolerance: Any = {
            "rtol": 2e-6,
            "atol": 1e-6 * (largest if name == "uniform" else 1.0),
            "equal_nan": True,
        }
        torch.testing.assert_close(one.double()[kept], other[kept], **tolerance)
    # Rounding to nearest is off by half a unit at most; a hair more where both are computed differently.
    rounding = 0.51 * torch.finfo(torch.bfloat16).eps if logits.dtype == torch.bfloat16 else 4e-6
    torch.testing.assert_close(gradient.double(), exact_gradient, rtol=rounding, atol=1e-8)
    assert rows.log_odds[~kept].isnan().all()
    assert not gradient[~kept].any()
    return rows, gradient


def batch(num_classes: int, dtype: torch.dtype, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    """Rows with the target first, last, in the middle, at the ends of a block, and one without a target."""
    places = [0, num_classes - 1, num_classes // 2, BLOCK - 1, BLOCK, BLOCK + 1]
    target = torch.tensor([place for place in places if place < num_classes] + [-1])
    return (scale * torch.randn(len(target), num_classes)).to(dtype), target


@needs_native
@each_dtype
@pytest.mark.parametrize("num_classes", SIZES)
def test_agrees_at_each_size(dtype: torch.dtype, num_classes: int) -> None:
    logits, target = batch(num_classes, dtype)
    assert_agree(logits, target)
    assert_agree(logits, target, uniform=True)
    assert_agree(logits, target, weight=torch.rand(num_classes), uniform=True)


@needs_native
@each_dtype
@pytest.mark.parametrize("scale", [0.1, 30.0, 1e3, 1e30])
def test_agrees_at_each_scale(dtype: torch.dtype, scale: float) -> None:
    logits, target = batch(BLOCK + 300, dtype, scale)
    assert_agree(logits, target, uniform=scale < 1e3)  # beyond, a difference of huge numbers


@needs_native
@each_dtype
def test_largest_logit_in_each_block(dtype: torch.dtype) -> None:
    """What was summed up so far is rescaled when a block brings a larger one, by any factor."""
    for place in (0, BLOCK - 1, BLOCK, 2 * BLOCK, 3 * BLOCK - 1):
        for height in (1.0, 30.0, 200.0):
            logits = torch.randn(1, 3 * BLOCK).to(dtype)
            logits[0, place] = height
            for target in (place, 5, 3 * BLOCK - 2):
                assert_agree(logits, torch.tensor([target]))


@needs_native
@each_dtype
def test_blocks_without_mass(dtype: torch.dtype) -> None:
    """-inf in the first block, in the last, everywhere but at the target, and everywhere."""
    size = 3 * BLOCK
    logits = torch.randn(4, size).to(dtype)
    logits[0, :BLOCK] = -math.inf
    logits[1, -BLOCK:] = -math.inf
    logits[2, : 2 * BLOCK + 1] = -math.inf
    logits[3] = -math.inf
    logits[3, 8] = 1.0
    rows, gradient = assert_agree(logits, torch.tensor([4, size - 1, 2 * BLOCK + 5, 8]))
    assert rows.log_odds.tolist()[:2] == [-math.inf, -math.inf]
    assert rows.log_odds[3] == math.inf
    assert gradient[3].count_nonzero() == 1
    nothing = native.row_statistics(
        torch.full((1, size), -math.inf, dtype=dtype), torch.tensor([8]), None, False
    )
    assert nothing.log_odds.isnan().all()


@needs_native
@each_dtype
@pytest.mark.parametrize("broken", [math.nan, math.inf])
@pytest.mark.parametrize("place", [0, BLOCK - 1, BLOCK, 2 * BLOCK + 16])
def test_broken_logits_show(dtype: torch.dtype, broken: float, place: int) -> None:
    logits = torch.randn(3, 2 * BLOCK + 17).to(dtype)
    logits[1, place] = broken
    for label in (place, 3):
        target = torch.full((3,), label)
        rows = native.row_statistics(logits, target, None, True)
        assert not rows.log_odds[1].isfinite()
        assert rows.uniform is not None
        assert not rows.uniform[1].isfinite()
        out = torch.empty_like(logits)
        native.write_gradient(logits, target, None, rows, torch.ones(3), None, out)
        assert not out[1].isfinite().all()
        assert out[0].isfinite().all()
        assert out[2].isfinite().all()


@needs_native
@pytest.mark.parametrize("sign", ["0", "1"])
@pytest.mark.parametrize("payload", ["1" + 22 * "0", 23 * "1"])
def test_no_nan_is_rounded_to_a_number(sign: str, payload: str) -> None:
    """A NaN of all ones would be carried over into a zero."""
    bits = int(sign + 8 * "1" + payload, 2)
    nan = torch.tensor([bits - (1 << 32) if bits >> 31 else bits], dtype=torch.int32).view(torch.float32)
    assert nan.isnan()
    logits, target = torch.randn(1, 20).bfloat16(), torch.tensor([4])
    out = torch.zeros_like(logits)
    rows = native.row_statistics(logits, target, None, False)
    native.write_gradient(logits, target, None, rows, nan, None, out)
    assert out.isnan().all()


@needs_native
def test_bfloat16_is_rounded_to_nearest_even() -> None:
    """The gradient at the target is what comes in, rounded: halves between two numbers go to the even one."""
    one, unit = 1.0, 2.0**-7
    incoming = torch.tensor(
        [one + unit / 2, one + 1.5 * unit, one + 0.49 * unit, one + 0.51 * unit, -one - unit / 2]
    )
    logits, target = torch.randn(5, 3).bfloat16(), torch.zeros(5, dtype=torch.int64)
    out = torch.empty_like(logits)
    rows = native.row_statistics(logits, target, None, False)
    native.write_gradient(logits, target, None, rows, incoming, None, out)
    assert out[:, 0].tolist() == [one, one + 2 * unit, one, one + unit, -one]
    # and torch's rounding of any float32
    values = (torch.rand(20_000) * 80 - 40).exp2()
    rows = RowStatistics(torch.zeros(20_000), None, torch.zeros(20_000), torch.ones(20_000))
    out = torch.empty(20_000, 1, dtype=torch.bfloat16)
    native.write_gradient(out.clone(), torch.zeros(20_000, dtype=torch.int64), None, rows, values, None, out)
    assert out[:, 0].equal(values.bfloat16())


@needs_native
@each_dtype
def test_layouts_of_the_logits(dtype: torch.dtype) -> None:
    wide = torch.randn(5, 3000).to(dtype)
    target = torch.tensor([0, 7, 1200, -1, 1233])
    layouts = {
        "part of wider rows": wide[:, 100:1334],
        "every second row": torch.randn(10, 1234).to(dtype)[::2],
        "the same row": torch.randn(1, 1234).to(dtype).expand(5, -1),
        "transposed": torch.randn(1234, 5).to(dtype).t(),
        "every second class": torch.randn(5, 2468).to(dtype)[:, ::2],
    }
    for logits in layouts.values():
        rows, gradient = assert_agree(logits, target)
        expected_rows, expected_gradient = assert_agree(logits.contiguous(), target)
        assert gradient.equal(expected_gradient)
        torch.testing.assert_close(rows, expected_rows, rtol=0, atol=0, equal_nan=True)


@needs_native
@each_dtype
@pytest.mark.parametrize(
    ("rows", "classes"), [(1, 30), (2, 30), (5, 1), (5, 2), (1, 1), (1, 2), (2, 1), (2, 2)]
)
def test_every_second_class_of_small_batches(dtype: torch.dtype, rows: int, classes: int) -> None:
    logits = torch.randn(rows, 2 * classes).to(dtype)[:, ::2]
    target = torch.arange(rows) % classes
    found, gradient = assert_agree(logits, target)
    expected, expected_gradient = assert_agree(logits.contiguous(), target)
    assert gradient.equal(expected_gradient)
    assert found.log_odds.equal(expected.log_odds)


@needs_native
@each_dtype
def test_gradient_in_the_place_of_the_logits(dtype: torch.dtype) -> None:
    for num_classes in (1, 5, BLOCK + 5):
        logits, target = batch(num_classes, dtype)
        for passes in (native, portable):
            rows = passes.row_statistics(logits, target, None, True)
            factors = torch.linspace(1, 2, len(logits)), torch.linspace(2, 1, len(logits))
            apart, place = torch.empty_like(logits), logits.clone()
            passes.write_gradient(logits, target, None, rows, *factors, apart)
            passes.write_gradient(place, target, None, rows, *factors, place)
            assert place.equal(apart)


@needs_native
def test_incoming_gradients_in_any_layout() -> None:
    """Those of a sum are one number, expanded."""
    logits, target = batch(50, torch.float32)
    rows = native.row_statistics(logits, target, None, False)
    out, expected = torch.empty_like(logits), torch.empty_like(logits)
    ones = torch.ones(len(logits))
    native.write_gradient(logits, target, None, rows, torch.ones(()).expand(len(logits)), None, out)
    native.write_gradient(logits, target, None, rows, ones, None, expected)
    assert out.equal(expected)


@needs_native
@each_dtype
def test_rows_without_a_gradient_become_zero(dtype: torch.dtype) -> None:
    """Also where their logits are broken: such a row counts for nothing."""
    logits, target = torch.randn(3, 40).to(dtype), torch.tensor([1, -1, 2])
    logits[:2] = math.nan
    for passes in (native, portable):
        rows = passes.row_statistics(logits, target, None, True)
        out = torch.full_like(logits, 7.0)
        passes.write_gradient(logits, target, None, rows, torch.tensor([0.0, 1.0, 1.0]), None, out)
        assert not out[:2].any()
        assert out[2].all()
        passes.write_gradient(logits, target, None, rows, torch.zeros(3), torch.tensor([0.0, 1.0, 1.0]), out)
        assert not out[:2].any()
        assert out[2].all()


@needs_native
@each_dtype
def test_no_rows(dtype: torch.dtype) -> None:
    logits, target = torch.empty(0, 9, dtype=dtype), torch.empty(0, dtype=torch.int64)
    rows, gradient = assert_agree(logits, target, uniform=True)
    assert rows.log_odds.shape == (0,)
    assert gradient.shape == (0, 9)


@pytest.fixture
def threads() -> Iterator[None]:
    """Give back the number of threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@needs_native
@each_dtype
@pytest.mark.usefixtures("threads")
def test_any_number_of_threads_gives_the_same_bits(dtype: torch.dtype) -> None:
    logits, target = torch.randn(64, 3001).to(dtype), torch.randint(3001, (64,))
    target[5] = -1
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        out = torch.empty_like(logits)
        rows = native.row_statistics(logits, target, None, True)
        native.write_gradient(logits, target, None, rows, torch.ones(64), torch.ones(64), out)
        results.append((*rows, out))
    for other in results[1:]:
        for one, same in zip(results[0], other):
            torch.testing.assert_close(one, same, rtol=0, atol=0, equal_nan=True)


# rivals whose formulas the compiled pass does not know: two passes, and autograd between them
TWO_PASSES = {"minus p", "minus p to the 10", "anti-focal", "TLDR", "MixCE"}
# and those that are no function of the log-odds
TWO_PASSES |= {"GEM", "GEM log-sigmoid", "unlikelihood"}


@needs_native
@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_is_one_call(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss and gradient come from the compiled pass, and are those of the loss's own function."""
    calls = []
    one_call = native.loss
    monkeypatch.setattr(native, "loss", lambda *given: calls.append(given) or one_call(*given))
    for num_classes in (5, 70):  # few classes are kept in registers
        call, _ = loss(name, num_classes)
        input = random_logits((40, num_classes), torch.float32)
        target = random_target((40, num_classes), ignore_index=-100)
        for options in ({}, {"label_smoothing": 0.2, "weight": torch.rand(num_classes)}):
            expected = call(input.double(), target, impl="reference", **options)
            assert_same(call(input, target, **options), expected.float(), input)
    assert len(calls) == (0 if name in TWO_PASSES else 4)


@needs_native
def test_a_loss_that_the_compiled_pass_does_not_know() -> None:
    """A formula of one's own has its own function between the passes, also when it is made of a known one."""

    class Squared(Focal):
        def __call__(self, log_odds: Tensor) -> Tensor:
            return super().__call__(log_odds) ** 2

    logits, target = torch.randn(4, 5), torch.tensor([0, 1, 2, 3])
    value = LogitsLoss(Squared(2.0), reduction="none")(logits, target)
    torch.testing.assert_close(value, LogitsLoss(Focal(2.0), reduction="none")(logits, target) ** 2)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it was not compiled, or cannot be loaded, torch's operations do it."""
    monkeypatch.setattr(native, "_library", lambda: None)
    assert not native.is_available()
    assert passes_for(torch.zeros(1, 2)) is portable


@needs_native
@each_dtype
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize(
    "num_classes", [3 * BLOCK + 5, 513 * BLOCK]
)  # kept in its row, and too many for that
def test_tops_that_rise_from_block_to_block(dtype: torch.dtype, num_classes: int, in_place: bool) -> None:
    """The exponentials of a block are relative to what was the largest logit so far."""
    logits = torch.randn(3, num_classes)
    levels = torch.tensor([-math.inf, -200.0, -10.0, 3.0])
    logits[:2] += levels[torch.arange(num_classes) // BLOCK % 4]
    logits[1] = logits[1].flip(0)
    logits = logits.to(dtype)
    target = torch.tensor([BLOCK + 7, num_classes - 1, num_classes // 2])
    weight, smoothing = torch.rand(num_classes), 0.0
    if num_classes < 4 * BLOCK:  # else a weight of 0 * inf
        logits[:2] = logits[:2].clamp(min=-300.0)
        smoothing = 0.1
    exact = logits.double().requires_grad_()
    costs = torch.nn.functional.cross_entropy(
        exact, target, weight.double(), label_smoothing=smoothing, reduction="sum"
    )
    (expected,) = torch.autograd.grad(costs, exact)
    of = native.LossOfRows(Focal(0.0).objective().compiled, weight, -100, "sum", smoothing)  # type: ignore[arg-type]
    out = logits if in_place else torch.full_like(logits, 7.0)
    loss, _ = native.loss(logits, target, of, out, 0.5)
    torch.testing.assert_close(loss.double(), costs.detach(), rtol=2e-6, atol=0.0)
    rounding = 0.51 * torch.finfo(torch.bfloat16).eps if dtype == torch.bfloat16 else 4e-6
    torch.testing.assert_close(out.double(), 0.5 * expected, rtol=rounding, atol=1e-8)

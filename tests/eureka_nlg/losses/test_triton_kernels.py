"""The kernels for GPUs: on one where there is one, else under Triton's interpreter; and compiled without one.

The interpreter must be asked for before Triton is imported, so the tests of the numbers run in a process of
their own where there is no GPU: this file again, started by :func:`test_numbers_under_the_interpreter`.
"""

from __future__ import annotations

import importlib.util
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from eureka_nlg.losses import eureka_loss
from eureka_nlg.losses.kernels import portable, triton_kernels

IS_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
HAS_TRITON = importlib.util.find_spec("triton") is not None
DTYPES = [torch.float32, torch.bfloat16, torch.float16]

outside_interpreter = pytest.mark.skipif(IS_INTERPRETED, reason="not for the interpreter")
needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="Triton is not installed")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


@pytest.fixture(scope="module")
def device() -> str:
    """Where the kernels can run in this process."""
    if IS_INTERPRETED:
        return "cpu"
    if HAS_TRITON and torch.cuda.is_available():
        return "cuda"
    pytest.skip("no GPU here; test_numbers_under_the_interpreter runs this test")


def problem(
    num_rows: int, num_classes: int, device: str, dtype: torch.dtype = torch.float32, scale: float = 4.0
) -> tuple[Tensor, Tensor]:
    """Logits, and targets among which are the first and the last class."""
    generator = torch.Generator().manual_seed(num_rows * num_classes)
    logits = scale * torch.randn(num_rows, num_classes, generator=generator)
    target = torch.randint(num_classes, (num_rows,), generator=generator)
    target[:1], target[1:2] = 0, num_classes - 1
    return logits.to(device, dtype), target.to(device)


def exact(logits: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Log-odds and uniform cross-entropy, from their definitions."""
    index = target.unsqueeze(-1)
    others = logits.scatter(-1, index, -math.inf).logsumexp(-1)
    costs = -logits.log_softmax(-1)
    weight = torch.ones_like(logits[0]) if weight is None else weight.double()
    return logits.gather(-1, index).squeeze(-1) - others, (costs * weight).sum(-1) / weight.sum()


def gradient_of(
    logits: Tensor, target: Tensor, slopes: tuple[Tensor, Tensor | None], weight: Tensor | None = None
) -> Tensor:
    """Both passes."""
    rows = triton_kernels.row_statistics(logits, target, weight, slopes[1] is not None)
    out = torch.full_like(logits, 7.0, memory_format=torch.contiguous_format)
    triton_kernels.write_gradient(logits, target, weight, rows, *slopes, out)
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("num_classes", [2, 3, 16, 17, 511, 1024, 1025, 4096, 4097, 9000])
def test_values_and_gradients(num_classes: int, is_weighted: bool, dtype: torch.dtype, device: str) -> None:
    num_rows = 70 if num_classes < 20 else 3  # with few classes a program has 64 rows
    logits, target = problem(num_rows, num_classes, device, dtype)
    weight = torch.linspace(0.0, 3.0, num_classes, device=device) if is_weighted else None
    slopes = (
        torch.linspace(-2.0, 2.0, num_rows, device=device),
        torch.linspace(1.5, 0.1, num_rows, device=device),
    )

    leaf = logits.double().requires_grad_()
    log_odds, uniform = exact(leaf, target, weight)
    rows = triton_kernels.row_statistics(logits, target, weight, True)
    torch.testing.assert_close(rows.log_odds.double(), log_odds.detach(), rtol=1e-6, atol=4e-6)
    assert rows.uniform is not None
    torch.testing.assert_close(rows.uniform.double(), uniform.detach(), rtol=1e-6, atol=4e-6)

    tolerance: dict[str, float] = {"rtol": max(2e-5, torch.finfo(dtype).eps), "atol": 1e-6}
    (of_both,) = torch.autograd.grad(
        (log_odds * slopes[0] + uniform * slopes[1]).sum(), leaf, retain_graph=True
    )
    torch.testing.assert_close(gradient_of(logits, target, slopes, weight).double(), of_both, **tolerance)
    (of_one,) = torch.autograd.grad((log_odds * slopes[0]).sum(), leaf)
    torch.testing.assert_close(
        gradient_of(logits, target, (slopes[0], None), weight).double(), of_one, **tolerance
    )


def test_sum_over_many_classes(device: str) -> None:
    logits, target = problem(3, 130_001, device, scale=2.0)
    log_odds, uniform = exact(logits.double(), target, None)
    rows = triton_kernels.row_statistics(logits, target, None, True)
    torch.testing.assert_close(rows.log_odds.double(), log_odds, rtol=3e-7, atol=0.0)
    assert rows.uniform is not None
    torch.testing.assert_close(rows.uniform.double(), uniform, rtol=3e-7, atol=0.0)


def test_others_keep_their_digits_under_a_dominant_target(device: str) -> None:
    logits, target = problem(2, 5000, device)
    logits[torch.arange(2), target] = logits.amax(-1) + 200.0
    leaf = logits.double().requires_grad_()
    log_odds, _ = exact(leaf, target, None)
    log_odds.sum().backward()
    rows = triton_kernels.row_statistics(logits, target, None, False)
    torch.testing.assert_close(rows.log_odds.double(), log_odds.detach(), rtol=2e-7, atol=0.0)
    gradient = gradient_of(logits, target, (torch.ones(2, device=device), None))
    torch.testing.assert_close(gradient.double(), leaf.grad, rtol=1e-5, atol=0.0)


@pytest.mark.parametrize("height", [torch.finfo(torch.float32).min, -1e20, 1e13])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_equal_logits_of_any_size(height: float, is_weighted: bool, device: str) -> None:
    """Beside a large maximum the logarithm of the sum must not vanish."""
    num_classes = 5000
    weight = torch.linspace(0.5, 2.0, num_classes, device=device) if is_weighted else None
    logits = torch.full((1, num_classes), height, dtype=torch.float32, device=device)
    target = torch.tensor([1], device=device)
    rows = triton_kernels.row_statistics(logits, target, weight, True)
    assert rows.log_odds.item() == pytest.approx(-math.log(num_classes - 1))
    assert rows.uniform is not None
    assert rows.uniform.item() == pytest.approx(math.log(num_classes))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_classes", [5, 5000])
def test_what_is_not_finite_is_as_in_the_portable_passes(
    num_classes: int, dtype: torch.dtype, device: str
) -> None:
    logits, target = problem(9, num_classes, device, dtype)
    target[:] = 1
    logits[0, ::2] = -math.inf
    logits[1, torch.arange(num_classes) != 1] = -math.inf  # certain
    logits[2] = -math.inf
    logits[3, 1] = -math.inf
    logits[4, 1] = math.inf
    logits[5, 0] = math.inf
    logits[6, num_classes - 1] = math.nan
    logits[7, 1] = math.nan
    logits[8, torch.arange(num_classes) != 1] = torch.finfo(dtype).min
    rows = triton_kernels.row_statistics(logits, target, None, True)
    expected = portable.row_statistics(logits, target, None, True)
    has_top = ~rows.mass.isnan()  # where it is, whether the largest passes NaN over is left open
    for value, wanted in zip(
        (rows.log_odds, rows.uniform, rows.mass, rows.top[has_top]),
        (expected.log_odds, expected.uniform, expected.mass, expected.top[has_top]),
        strict=True,
    ):
        torch.testing.assert_close(value, wanted, rtol=1e-6, atol=1e-6, equal_nan=True)
    assert (rows.log_odds[1], rows.top[1], rows.mass[1]) == (math.inf, 0.0, 0.0)
    assert rows.log_odds[[2, 4, 5, 6, 7]].isnan().all()

    slopes = torch.full((9,), 0.5, device=device), torch.full((9,), 0.25, device=device)
    out = gradient_of(logits, target, slopes)
    out_expected = torch.empty_like(logits)
    portable.write_gradient(logits, target, None, rows, *slopes, out_expected)
    torch.testing.assert_close(
        out, out_expected, rtol=max(1e-5, torch.finfo(dtype).eps), atol=1e-6, equal_nan=True
    )


@pytest.mark.parametrize("num_classes", [7, 4100])
def test_rows_that_do_not_count_are_zero_whatever_they_hold(num_classes: int, device: str) -> None:
    logits, target = problem(6, num_classes, device)
    logits[1:4] = math.nan
    target[1], target[2] = -1, -100
    slopes = torch.ones(6, device=device), torch.ones(6, device=device)
    slopes[0][3:5], slopes[1][3] = 0.0, 0.0
    rows = triton_kernels.row_statistics(logits, target, None, True)
    for index in (1, 2):
        assert rows.uniform is not None
        assert rows.log_odds[index].isnan()
        assert rows.uniform[index].isnan()
        assert (rows.top[index], rows.mass[index]) == (0.0, 0.0)
    out = gradient_of(logits, target, slopes)
    assert (out[1:4] == 0.0).all()
    assert (out[[0, 4, 5]] != 0.0).any(-1).all()


@pytest.mark.parametrize("num_classes", [6, 5000])
def test_a_target_beyond_the_classes_shows_as_nan(num_classes: int, device: str) -> None:
    logits, target = problem(4, num_classes, device)
    target[2] = num_classes + (1 << 40)
    rows = triton_kernels.row_statistics(logits, target, None, True)
    assert rows.log_odds.isnan().tolist() == [False, False, True, False]
    slopes = rows.log_odds * 0.0 + 1.0, torch.ones(4, device=device)
    out = gradient_of(logits, target, slopes, torch.ones(num_classes, device=device))
    assert out.isnan().all(-1).tolist() == [False, False, True, False]
    assert out.isnan().any(-1).tolist() == [False, False, True, False]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_classes", [11, 6000])
def test_in_place(num_classes: int, dtype: torch.dtype, device: str) -> None:
    logits, target = problem(5, num_classes, device, dtype)
    slopes = torch.linspace(-1.0, 1.0, 5, device=device), torch.linspace(1.0, 0.5, 5, device=device)
    expected = gradient_of(logits, target, slopes)
    rows = triton_kernels.row_statistics(logits, target, None, True)
    triton_kernels.write_gradient(logits, target, None, rows, *slopes, logits)
    assert torch.equal(logits, expected)


@pytest.mark.parametrize("num_classes", [1, 13, 4100])
def test_strides(num_classes: int, device: str) -> None:
    logits, target = problem(4, num_classes, device)
    target = target.repeat_interleave(2)[::2]
    slopes = torch.ones(1, device=device).expand(4), torch.linspace(1.0, 0.5, 4, device=device)
    expected = gradient_of(logits, target.contiguous(), slopes)
    in_wider_rows = torch.full((4, num_classes + 5), math.nan, device=device)[:, 2:-3]
    for view in (in_wider_rows.copy_(logits), logits.t().contiguous().t()):
        assert torch.equal(gradient_of(view, target, slopes), expected)
    repeated = gradient_of(logits[:1].expand(4, -1), target[:1].expand(4), (slopes[0], None))
    assert torch.equal(repeated, gradient_of(logits[:1], target[:1], (slopes[0][:1], None)).expand(4, -1))


def test_no_rows(device: str) -> None:
    logits, target = torch.empty(0, 5, device=device), torch.empty(0, dtype=torch.long, device=device)
    assert gradient_of(logits, target, (torch.empty(0, device=device), None)).shape == (0, 5)


def test_rows_further_apart_than_int32_reaches(device: str) -> None:
    # 4 GiB on a GPU; on the CPU only the pages that hold the three rows
    memory = torch.empty((1 << 31) + 8, dtype=torch.bfloat16, device=device)
    logits = memory.as_strided((3, 8), (1 << 30, 1))
    values, target = problem(3, 8, device, torch.bfloat16)
    logits.copy_(values)
    log_odds = triton_kernels.row_statistics(logits, target, None, False).log_odds
    assert torch.equal(log_odds, triton_kernels.row_statistics(values, target, None, False).log_odds)


@needs_triton
@outside_interpreter
def test_numbers_under_the_interpreter() -> None:
    environment = os.environ | {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", __file__]
    done = subprocess.run(
        command, env=environment, cwd=Path(__file__).parents[3], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 0, done.stdout


def compiled(kernel: Any, dtype: str, absent: tuple[str, ...], num_classes: int, capability: int) -> Any:
    """The kernel as it is compiled at a call with such arguments, aligned as torch's memory is."""
    import triton
    from triton.backends.compiler import GPUTarget

    tile_rows, block, num_warps = triton_kernels.tile_of(num_classes)
    constants = dict.fromkeys(absent) | {"ROWS": tile_rows, "BLOCK": block}
    types = {"logits": f"*{dtype}", "out": f"*{dtype}", "target": "*i64"}
    types |= dict.fromkeys(("row_stride", "num_rows", "num_classes"), "i32")
    types |= dict.fromkeys(constants, "constexpr")
    signature = {name: types.get(name, "*fp32") for name in kernel.arg_names}
    aligned = [
        index
        for index, (name, type_name) in enumerate(signature.items())
        if type_name[0] == "*" or (num_classes % 16 == 0 and name in ("row_stride", "num_classes"))
    ]
    attributes: Any
    try:  # until Triton 3.2
        from triton.backends.compiler import AttrsDescriptor
    except ImportError:
        attributes = {(index,): [["tt.divisibility", 16]] for index in aligned}
    else:
        attributes = AttrsDescriptor.from_hints(dict.fromkeys(aligned, 16))
    source = triton.compiler.ASTSource(kernel, signature, constants, attributes)
    options = {"num_warps": num_warps, "enable_fp_fusion": True}
    return triton.compile(source, GPUTarget("cuda", capability, 32), options)


@needs_triton
@outside_interpreter
@pytest.mark.parametrize(("capability", "num_classes"), [(80, 10), (90, 18_848)])
@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize(
    "absent",
    [("weight", "weight_sum", "uniform", "grad_uniform"), ("weight", "weight_sum"), ()],
    ids=["log_odds", "uniform", "weighted"],
)
def test_kernels_compile_and_stay_in_registers(
    absent: tuple[str, ...],
    dtype: str,
    capability: int,
    num_classes: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import triton

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    for kernel in (triton_kernels._statistics_kernel, triton_kernels._gradient_kernel):
        names = tuple(name for name in absent if name in kernel.arg_names)
        binary = compiled(kernel, dtype, names, num_classes, capability)
        assert f".target sm_{capability}" in binary.asm["ptx"]
        assert ".f64" not in binary.asm["ptx"]  # slow on most GPUs
        if num_classes % 16 == 0:
            assert "ld.global.v4.b32" in binary.asm["ptx"]
        assert binary.metadata.shared <= 16 << 10
        tool = Path(triton.__file__).with_name("backends") / "nvidia" / "bin" / "cuobjdump"
        if tool.exists():
            cubin = tmp_path / "kernel.cubin"
            cubin.write_bytes(binary.asm["cubin"])
            usage = subprocess.run(
                [str(tool), "--dump-resource-usage", str(cubin)], capture_output=True, text=True, check=True
            ).stdout
            found = re.search(r"REG:(\d+) STACK:(\d+) SHARED:\d+ LOCAL:(\d+)", usage)
            assert found is not None, usage
            registers, stack, local = (int(number) for number in found.groups())
            assert stack <= 16, usage  # a tile that is spilled takes hundreds of bytes
            assert local == 0, usage
            if num_classes > 1024:
                # 64: two programs of 512 threads at once. Weighted smoothing carries a fourth number a lane,
                # the weights so far, which keeps its sum exact beside a large maximum: one program at a time.
                weighted = not absent and kernel is triton_kernels._statistics_kernel
                assert registers <= (80 if weighted else 64), usage


@needs_gpu
@needs_triton
@pytest.mark.parametrize("dtype", DTYPES)
def test_loss_on_a_gpu(dtype: torch.dtype) -> None:
    logits, target = problem(50, 3000, "cuda", dtype)
    assert triton_kernels.supports(logits)
    target[7] = -100
    results = []
    for leaf, labels in (
        (logits.clone().requires_grad_(), target),
        (logits.double().cpu().requires_grad_(), target.cpu()),
    ):
        loss = eureka_loss(leaf, labels, 0.5, label_smoothing=0.1, reduction="sum")
        loss.backward()
        results.append((loss.detach().double().cpu(), leaf.grad.double().cpu()))
    tolerance = {"rtol": max(2e-5, torch.finfo(dtype).eps), "atol": 1e-6}
    torch.testing.assert_close(results[0], results[1], **tolerance)


@needs_gpu
@needs_triton
def test_gradient_of_more_elements_than_int32_counts() -> None:
    num_rows, num_classes = 65_540, 32_768
    if torch.cuda.mem_get_info()[0] < 6 << 30:
        pytest.skip("needs 6 GiB on the GPU")
    logits = torch.zeros(num_rows, num_classes, dtype=torch.bfloat16, device="cuda")
    target = torch.arange(num_rows, device="cuda") % num_classes
    rows = triton_kernels.row_statistics(logits, target, None, False)
    assert torch.allclose(rows.log_odds, rows.log_odds.new_tensor(-math.log(num_classes - 1)))
    triton_kernels.write_gradient(logits, target, None, rows, torch.ones_like(rows.mass), None, logits)
    last = torch.full((num_classes,), -1.0 / (num_classes - 1), dtype=torch.bfloat16, device="cuda")
    last[target[-1]] = 1.0
    assert torch.equal(logits[-1], last)


@outside_interpreter
def test_logits_it_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not triton_kernels.supports(torch.zeros(2, 3))
    probe = triton_kernels._is_usable.__wrapped__
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (6, 1))
    assert not probe(0)


@needs_triton
@outside_interpreter
def test_a_triton_that_does_not_work_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError("no C compiler")

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (9, 0))
    monkeypatch.setattr(triton_kernels, "row_statistics", fail)
    with pytest.warns(UserWarning, match="Triton does not work on this machine, so losses take longer"):
        assert not triton_kernels._is_usable.__wrapped__(0)


@outside_interpreter
def test_losses_work_without_triton() -> None:
    code = (
        "import sys; sys.modules['triton'] = None\n"
        "import torch; from eureka_nlg.losses import eureka_loss\n"
        "from eureka_nlg.losses.kernels import triton_kernels\n"
        "logits = torch.zeros(2, 3)\n"
        "assert not triton_kernels.supports(logits)\n"
        "assert not triton_kernels._is_usable(0)\n"
        "print(eureka_loss(logits, torch.tensor([0, 1]), impl='fused').item())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert float(done.stdout) == pytest.approx(-math.log(1 / 3) + math.log(2 / 3))

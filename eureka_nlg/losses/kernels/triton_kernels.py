"""The passes over the logits in Triton, for float32, bfloat16 and float16 on GPUs.

A program processes a tile of rows and classes: one row if there are many classes, several rows if there are
few. Each lane of the tile keeps its own maximum and sum of exponentials, so that a row is reduced only once,
at its end, and each logit costs one exponential per pass.

Triton comes with torch on Linux. Without Triton this module can be imported, but supports no logits.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import torch
from torch import Tensor

from eureka_nlg.losses.kernels.passes import RowStatistics

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

__all__ = ["row_statistics", "supports", "tile_of", "write_gradient"]

_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def supports(logits: Tensor) -> bool:
    """Whether the kernels take logits of this dtype on this device."""
    return logits.dtype in _DTYPES and logits.is_cuda and _is_usable(logits.get_device())


def row_statistics(
    logits: Tensor, target: Tensor, weight: Tensor | None, with_uniform: bool
) -> RowStatistics:
    """See :class:`eureka_nlg.losses.kernels.passes.Passes`. A target of C or more gives NaN."""
    log_odds, top, mass = (
        torch.empty(len(logits), dtype=torch.float32, device=logits.device) for _ in range(3)
    )
    uniform = torch.empty_like(log_odds) if with_uniform else None
    weight = weight if with_uniform else None  # avoids compiling a kernel for weights that it does not read
    _launch(_statistics_kernel, logits, target, weight, log_odds, uniform, top, mass)
    return RowStatistics(log_odds, uniform, top, mass)


def write_gradient(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    found: RowStatistics,
    grad_log_odds: Tensor,
    grad_uniform: Tensor | None,
    out: Tensor,
) -> None:
    """See :class:`eureka_nlg.losses.kernels.passes.Passes`."""
    assert out.is_contiguous()
    assert out.dtype == logits.dtype
    statistics = (found.log_odds, found.top, found.mass)
    weight = weight if grad_uniform is not None else None
    _launch(_gradient_kernel, logits, target, weight, *statistics, grad_log_odds, grad_uniform, out)


def tile_of(num_classes: int) -> tuple[int, int, int]:
    """Rows and classes of a tile, and the number of warps of a program.

    A thread has eight elements: in half precision they are one load of 16 bytes, and they need few enough
    registers that other warps can run on the multiprocessor while one waits for memory.

    >>> tile_of(10), tile_of(1000), tile_of(18848)
    ((64, 16, 4), (1, 1024, 4), (1, 4096, 16))
    """
    block = min(4096, 1 << (max(16, num_classes) - 1).bit_length())
    num_rows = max(1, 1024 // block)
    return num_rows, block, num_rows * block // 256


def _launch(kernel: Any, logits: Tensor, target: Tensor, weight: Tensor | None, *rest: Tensor | None) -> None:
    logits = logits if logits.stride(-1) == 1 or logits.shape[-1] == 1 else logits.contiguous()
    weight_sum = None if weight is None else weight.sum()  # stays on the device, without synchronisation
    labels, weights, *others = (
        None if tensor is None else tensor.contiguous() for tensor in (target, weight, *rest)
    )
    num_rows, num_classes = logits.shape
    tile_rows, block, num_warps = tile_of(num_classes)
    arguments = (logits, logits.stride(0), labels, weights, weight_sum, num_rows, num_classes, *others)
    with torch.cuda.device_of(logits):
        kernel[(-(-num_rows // tile_rows),)](
            *arguments, ROWS=tile_rows, BLOCK=block, num_warps=num_warps, enable_fp_fusion=True
        )


@functools.cache
def _is_usable(device_index: int) -> bool:
    if triton is None or torch.cuda.get_device_capability(device_index) < (7, 0):
        return False
    device = torch.device("cuda", device_index)
    try:
        row_statistics(
            torch.zeros(1, 2, dtype=torch.float32, device=device),
            torch.zeros(1, dtype=torch.long, device=device),
            None,
            False,
        )
    except Exception as error:  # Triton needs a C compiler at run time, and an assembler for this GPU
        reason = " ".join(str(error).split()) or type(error).__name__
        warnings.warn(f"Triton does not work on this machine, so losses take longer: {reason}", stacklevel=2)
        return False
    return True


def _jit(function: Any) -> Any:
    # otherwise Triton compiles a kernel for N = 1, one for multiples of 16, and one for other N
    return function if triton is None else triton.jit(do_not_specialize=["num_rows"])(function)


# A parameter that is None is a constant when a kernel is compiled, and the code that depends on it is left
# out. Parameters have no annotations, since Triton would evaluate them. Row offsets are int64: N * C may
# exceed 2^31.


@_jit
def _statistics_kernel(  # type: ignore[no-untyped-def]
    logits,
    row_stride,
    target,
    weight,
    weight_sum,
    num_rows,
    num_classes,
    log_odds,
    uniform,
    top,
    mass,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    exists = row < num_rows
    label = tl.load(target + row, mask=exists, other=-1)
    kept = label >= 0
    first = logits + row * row_stride
    own = tl.load(first + label, mask=kept & (label < num_classes), other=float("nan")).to(tl.float32)
    label_column = tl.where(label < num_classes, label, -1).to(tl.int32)[:, None]

    # Starting from the lowest finite number avoids inf - inf below, and a logit of -inf still counts as 0.
    tops = tl.full([ROWS, BLOCK], -3.4028234663852886e38, tl.float32)
    masses = tl.zeros([ROWS, BLOCK], tl.float32)
    # weighted sums of logits relative to the lane's maximum: sums of large logits would lose precision
    sums = tl.zeros([ROWS, BLOCK], tl.float32)
    weights = tl.zeros([ROWS, BLOCK], tl.float32)
    for start in range(0, num_classes, BLOCK):
        column = start + tl.arange(0, BLOCK)[None, :]
        inside = kept[:, None] & (column < num_classes)
        z = tl.load(first[:, None] + column, mask=inside, other=float("-inf")).to(tl.float32)
        z = tl.where(column == label_column, float("-inf"), z)
        # one exponential serves both cases, a new maximum or not; a NaN is never larger and stays in the sum
        larger = z > tops
        lower = tl.exp(-tl.abs(z - tops))
        masses = tl.where(larger, masses * lower + 1.0, masses + lower)
        if uniform is not None:
            sums += tl.where(larger & (weights != 0.0), weights * (tops - z), 0.0)
        tops = tl.where(larger, z, tops)
        if uniform is not None:
            is_other = inside & (column != label_column)
            if weight is not None:
                class_weight = tl.load(weight + column, mask=column < num_classes, other=0.0)
                sums += tl.where(is_other, (z - tops) * class_weight, 0.0)
                weights += tl.where(is_other, class_weight, 0.0)
            else:
                sums += tl.where(is_other, z - tops, 0.0)
                weights += tl.where(is_other, 1.0, 0.0)

    highest = tl.max(tops, axis=1)
    total = tl.sum(masses * tl.exp(tops - highest[:, None]), axis=1)
    highest = tl.where(total == 0.0, 0.0, highest)
    others = tl.log(total)
    u = (own - highest) - others
    u = tl.where(own == float("inf"), float("nan"), u)  # an overflow, not certainty
    tl.store(log_odds + row, u, mask=exists)
    tl.store(top + row, highest, mask=exists)
    tl.store(mass + row, total, mask=exists)
    if uniform is not None:
        above = own - highest
        all_classes = tl.where(u > 0.0, above, others) + tl.log(1.0 + tl.exp(-tl.abs(u)))
        sums += tl.where(weights != 0.0, weights * (tops - highest[:, None]), 0.0)
        if weight is not None:
            share = 1.0 / tl.load(weight_sum)
            own_weight = tl.load(weight + label, mask=kept & (label < num_classes), other=0.0)
        else:
            share = 1.0 / num_classes
            own_weight = 1.0
        cost = all_classes - (tl.sum(sums, axis=1) + own_weight * above) * share
        tl.store(uniform + row, cost, mask=exists)


@_jit
def _gradient_kernel(  # type: ignore[no-untyped-def]
    logits,
    row_stride,
    target,
    weight,
    weight_sum,
    num_rows,
    num_classes,
    log_odds,
    top,
    mass,
    grad_log_odds,
    grad_uniform,
    out,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    exists = row < num_rows
    label = tl.load(target + row, mask=exists, other=-1)
    kept = label >= 0
    label_column = tl.where(label < num_classes, label, -1).to(tl.int32)[:, None]
    highest = tl.load(top + row, mask=kept, other=0.0)[:, None]
    total = tl.load(mass + row, mask=kept, other=0.0)

    at_target = tl.load(grad_log_odds + row, mask=kept, other=0.0)
    of_others = -at_target
    counts = at_target != 0.0
    of_weight = tl.zeros([ROWS], tl.float32)
    if grad_uniform is not None:
        of_uniform = tl.load(grad_uniform + row, mask=kept, other=0.0)
        counts = counts | (of_uniform != 0.0)
        u = tl.load(log_odds + row, mask=kept, other=0.0)
        of_others += of_uniform * tl.sigmoid(-u)
        at_target += of_uniform * tl.sigmoid(u)
        if weight is not None:
            of_weight = of_uniform / tl.load(weight_sum)
            at_target -= of_weight * tl.load(weight + label, mask=kept & (label < num_classes), other=0.0)
        else:
            of_weight = of_uniform / num_classes
            at_target -= of_weight
    of_mass = tl.where(total == 0.0, 0.0, of_others / total)

    for start in range(0, num_classes, BLOCK):
        column = start + tl.arange(0, BLOCK)[None, :]
        inside = exists[:, None] & (column < num_classes)
        z = tl.load(
            logits + (row * row_stride)[:, None] + column, mask=inside & counts[:, None], other=float("-inf")
        )
        gradient = tl.exp(z.to(tl.float32) - highest) * of_mass[:, None]
        if grad_uniform is not None:
            if weight is not None:
                class_weight = tl.load(weight + column, mask=column < num_classes, other=0.0)
                gradient -= of_weight[:, None] * class_weight
            else:
                gradient -= of_weight[:, None]
        gradient = tl.where(column == label_column, at_target[:, None], gradient)
        gradient = tl.where(counts[:, None], gradient, 0.0)
        to = out + row[:, None] * num_classes + column
        tl.store(to, gradient.to(out.dtype.element_ty), mask=inside)

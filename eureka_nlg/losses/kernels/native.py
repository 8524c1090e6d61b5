"""The passes over the logits in C (``_native.c``), for float32 and bfloat16 on the CPU.

The library is compiled when the package is installed, where there is a C compiler with OpenMP. It is called
through ctypes: the calls take addresses and sizes, and need nothing of torch's or Python's headers, so one
library serves every version of both.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from typing import Any

import torch
from torch import Tensor

from eureka_nlg.losses.kernels.passes import RowStatistics

__all__ = ["is_available", "row_statistics", "supports", "write_gradient"]

_NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


def is_available() -> bool:
    """Whether the library was compiled and can be loaded."""
    return _library() is not None


def supports(logits: Tensor) -> bool:
    """Whether the library takes logits of this dtype."""
    return logits.dtype in _NAMES and is_available()


def row_statistics(
    logits: Tensor, target: Tensor, weight: Tensor | None, with_uniform: bool
) -> RowStatistics:
    """See :class:`eureka_nlg.losses.kernels.passes.Passes`."""
    # in C they are float32 on the CPU, whatever torch's defaults are
    log_odds, top, mass = (
        torch.empty(len(logits), dtype=torch.float32, device=logits.device) for _ in range(3)
    )
    uniform = torch.empty_like(log_odds) if with_uniform else None
    _call("row_statistics", logits, target, weight, log_odds, uniform, top, mass)
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
    _call("write_gradient", logits, target, weight, *statistics, grad_log_odds, grad_uniform, out)


def _call(function: str, logits: Tensor, target: Tensor, weight: Tensor | None, *rest: Tensor | None) -> None:
    library: Any = _library()
    logits = logits if logits.stride(-1) == 1 or logits.shape[-1] == 1 else logits.contiguous()
    tensors = [None if tensor is None else tensor.contiguous() for tensor in (target, weight, *rest)]
    target_address, weight_address, *addresses = (
        None if tensor is None else tensor.data_ptr() for tensor in tensors
    )
    num_rows, num_classes = logits.shape
    getattr(library, f"{function}_{_NAMES[logits.dtype]}")(
        logits.data_ptr(),
        logits.stride(0),
        target_address,
        weight_address,
        num_classes if weight is None else weight.sum().item(),
        num_rows,
        num_classes,
        torch.get_num_threads(),
        *addresses,
    )


@functools.cache
def _library() -> Any:
    spec = importlib.util.find_spec("eureka_nlg.losses.kernels._native")
    if spec is None or spec.origin is None:
        return None
    try:
        library = ctypes.CDLL(spec.origin)
    except OSError:  # for one, torch's OpenMP is not there to be shared
        return None
    address, integer = ctypes.c_void_p, ctypes.c_int64
    common = [address, integer, address, address, ctypes.c_double, integer, integer, ctypes.c_int]
    for name in _NAMES.values():
        for function, num_arrays in (("row_statistics", 4), ("write_gradient", 6)):
            call = getattr(library, f"{function}_{name}")
            call.argtypes, call.restype = [*common, *[address] * num_arrays], None
    return library

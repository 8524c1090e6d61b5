"""The passes over the logits in C (``_native.c``), for float32 and bfloat16 on the CPU.

The library is compiled when the package is installed, if there is a C compiler with OpenMP. It is called
through ctypes with addresses and sizes. It uses no headers of torch or Python, so one library works with
every version of both.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any, NamedTuple

import torch
from torch import Tensor

from eureka_nlg import c_library
from eureka_nlg.losses.kernels.closed_form import CompiledLoss
from eureka_nlg.losses.kernels.passes import RowStatistics, check_target

__all__ = ["LossOfRows", "is_available", "loss", "row_statistics", "supports", "write_gradient"]

_NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
_ABI_VERSION = 2  # version of the C signatures below
_REDUCTIONS = {"none": 0, "sum": 1, "mean": 2}


class LossOfRows(NamedTuple):
    """Arguments of :func:`loss` besides logits and targets.

    Attributes:
        loss: the loss of a row, with an encouragement in float32.
        weight: class weights ``[C]`` float32; None for 1.
        ignore_index: target of ignored rows.
        reduction: "none", "sum" or "mean".
        label_smoothing: in [0, 1], as torch defines it.
    """

    loss: CompiledLoss
    weight: Tensor | None
    ignore_index: int
    reduction: str
    label_smoothing: float


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
    # the C code writes float32 on the CPU, whatever torch's default dtype and device are
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


def loss(
    logits: Tensor, target: Tensor, of: LossOfRows, gradient: Tensor | None, incoming: float
) -> tuple[Tensor, Tensor]:
    """Both passes in one call, with the loss between them.

    Args:
        logits: ``[N, C]``, contiguous rows.
        target: ``[N]`` int64, contiguous, classes or ``ignore_index``.
        of: the loss.
        gradient: ``[N, C]`` in the dtype of the logits, to be written; or None.
        incoming: factor that the gradient is multiplied by; see :mod:`.incoming`.

    Returns:
        The loss, ``[]`` or ``[N]``; and ``[6, N]`` values of the rows: the log-odds, the derivatives of the
        loss with respect to the log-odds and to the uniform cross-entropy, ``top`` and ``mass`` of
        :class:`RowStatistics`, and the loss. All are float32.

    Raises:
        IndexError: a target is neither a class nor ``ignore_index``.
    """
    num_rows, num_classes = logits.shape
    # float32 on the CPU, whatever torch's default dtype and device are
    result = torch.empty((num_rows,) if of.reduction == "none" else (), dtype=torch.float32, device="cpu")
    found = torch.empty((6, num_rows), dtype=torch.float32, device="cpu")
    form, encouragement, halted = of.loss
    per_class = isinstance(encouragement, Tensor)
    bad = _loss_in_c(logits.dtype)(
        logits.data_ptr(),
        logits.stride(0),
        target.data_ptr(),
        of.ignore_index,
        num_rows,
        num_classes,
        torch.get_num_threads(),
        None if of.weight is None else of.weight.data_ptr(),
        encouragement.data_ptr() if isinstance(encouragement, Tensor) else None,
        1.0 if per_class else encouragement,
        None if halted is None else halted.data_ptr(),
        form.as_array,
        of.label_smoothing,
        _REDUCTIONS[of.reduction],
        incoming,
        result.data_ptr(),
        found.data_ptr(),
        None if gradient is None else gradient.data_ptr(),
    )
    if bad >= 0:
        check_target(target[bad : bad + 1], num_classes)
    return result, found


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
def _loss_in_c(dtype: torch.dtype) -> Any:
    return getattr(_library(), f"loss_{_NAMES[dtype]}")


@functools.cache
def _library() -> Any:
    library = c_library.load("eureka_nlg.losses.kernels._native", _ABI_VERSION)
    return None if library is None else _typed(library)


def _typed(library: ctypes.CDLL) -> ctypes.CDLL:
    """The library, with the types of its functions."""
    address, integer, number = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
    common = [address, integer, address, address, number, integer, integer, ctypes.c_int]
    for name in _NAMES.values():
        for function, num_arrays in (("row_statistics", 4), ("write_gradient", 6)):
            call = getattr(library, f"{function}_{name}")
            call.argtypes, call.restype = [*common, *[address] * num_arrays], None
        call = getattr(library, f"loss_{name}")
        call.argtypes = [
            *(address, integer, address, integer, integer, integer, ctypes.c_int),
            *(address, address, number, address, address, number, ctypes.c_int, ctypes.c_float),
            *(address, address, address),
        ]
        call.restype = integer
    return library

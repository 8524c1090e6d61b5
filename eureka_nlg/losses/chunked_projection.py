"""The last linear layer, some rows at a time: computes their logits and accumulates the layer's gradients."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Layer", "by_chunks", "dtype_of_products"]

# Size of the logits of a chunk of rows. Smaller chunks would read and write the gradient of the weight more
# often, so a chunk may be as large as the weight if that is larger.
_CHUNK_BYTES = 1 << 25
# Chunks are padded to a multiple of this number of rows for oneDNN, which compiles a 16-bit product for each
# number of rows (5 ms on a core with AMX, for a product of 1 ms) and keeps only the last thousand.
_ROWS_TOGETHER = 32
# Size of the pieces in which a 16-bit weight is converted, if products are computed in float32.
_PIECE_BYTES = 1 << 22


class Layer(NamedTuple):
    """Input ``[N, H]``, weight ``[C, H]`` and bias ``[C]`` of the layer."""

    hidden: Tensor
    weight: Tensor
    bias: Tensor | None


def by_chunks(
    layer: Layer, to_gradient: Callable[[slice, Tensor], bool], needed: tuple[bool, ...]
) -> tuple[Tensor | None, ...]:
    """Compute the logits of a chunk of rows at a time, and accumulate the needed gradients.

    Args:
        layer: input, weight and bias.
        to_gradient: called with the slice of a chunk's rows and their logits. It overwrites the logits with
            their gradient and returns True, or returns False if no gradients are needed.
        needed: whether the gradients of input, weight and bias are needed.

    Returns:
        These gradients, None where not needed.
    """
    hidden, weight, bias = layer
    num_rows, num_classes = hidden.shape[0], weight.shape[0]
    dtype = torch.float64 if hidden.dtype == torch.float64 else torch.float32
    of_products = dtype_of_products(hidden)
    is_short = hidden.device.type == "cpu" and of_products.itemsize == 2
    together = _ROWS_TOGETHER if is_short else 1
    chunk_bytes = max(_CHUNK_BYTES, weight.numel() * weight.element_size())
    most_rows = chunk_bytes // (num_classes * of_products.itemsize or 1) // together * together
    size = max(together, min(_rounded_up(num_rows, together), most_rows))
    of_hidden = of_weight = of_bias = None
    if needed[0]:
        of_hidden = hidden.new_empty(_rounded_up(num_rows, together), hidden.shape[1], dtype=of_products)
    if needed[1]:  # a sum over several chunks is kept in the dtype of the computation
        of_weight = torch.empty(
            weight.shape, dtype=weight.dtype if num_rows <= size else dtype, device=weight.device
        )
        if not num_rows:
            of_weight.zero_()
    if needed[2]:
        of_bias = torch.zeros(num_classes, dtype=dtype, device=hidden.device)
    added_bias = None if bias is None else bias.to(of_products)
    buffer = hidden.new_empty(size, num_classes, dtype=of_products)
    for start in range(0, num_rows, size):
        chunk = slice(start, min(start + size, num_rows))
        inputs = hidden[chunk].to(of_products)
        num_inputs = chunk.stop - start
        added = -num_inputs % together
        if added:
            inputs = torch.nn.functional.pad(inputs, (0, 0, 0, added))
        padded = buffer[: num_inputs + added]
        for classes, part in _pieces(weight, of_products):
            if added_bias is None:
                torch.mm(inputs, part.t(), out=padded[:, classes])
            else:
                torch.addmm(added_bias[classes], inputs, part.t(), out=padded[:, classes])
        logits = padded[:num_inputs]
        if not to_gradient(chunk, logits):
            continue
        if added:
            padded[num_inputs:] = 0.0
        if of_hidden is not None:
            whole = of_hidden[start : start + num_inputs + added]
            for classes, part in _pieces(weight, of_products):
                if classes.start == 0:
                    torch.mm(padded[:, classes], part, out=whole)
                else:
                    whole.addmm_(padded[:, classes], part)
        if of_weight is not None:
            for classes, _ in _pieces(weight, of_products, with_values=False):
                _add_product(of_weight[classes], padded[:, classes].t(), inputs, is_first=start == 0)
        if of_bias is not None:
            of_bias += logits.sum(0, dtype=dtype)
    return (
        None if of_hidden is None else of_hidden[:num_rows].to(hidden.dtype),
        None if of_weight is None else of_weight.to(weight.dtype),
        None if of_bias is None or bias is None else of_bias.to(bias.dtype),
    )


def dtype_of_products(hidden: Tensor) -> torch.dtype:
    """The dtype of the matrix products: that of ``hidden``, but float32 on CPUs without 16-bit products.

    There a 16-bit product takes up to 50 times as long.
    """
    if hidden.device.type != "cpu" or hidden.element_size() != 2 or _has_products(hidden.dtype):
        return hidden.dtype
    return torch.float32


@functools.cache
def _has_products(dtype: torch.dtype) -> bool:
    """Whether oneDNN multiplies matrices of this 16-bit dtype on this CPU."""
    name = "_is_mkldnn_bf16_supported" if dtype == torch.bfloat16 else "_is_mkldnn_fp16_supported"
    ask = getattr(torch.ops.mkldnn, name, None)
    return ask is None or bool(ask())


def _pieces(weight: Tensor, dtype: torch.dtype, with_values: bool = True) -> Iterator[tuple[slice, Tensor]]:
    """The weight as one piece, or in converted pieces of some classes, each with the slice of its classes."""
    num_classes, width = weight.shape
    if weight.dtype == dtype or not num_classes:
        yield slice(0, num_classes), weight
        return
    size = max(1, _PIECE_BYTES // (dtype.itemsize * width or 1))
    for start in range(0, num_classes, size):
        piece = slice(start, min(start + size, num_classes))
        yield piece, weight[piece].to(dtype) if with_values else weight


def _add_product(total: Tensor, left: Tensor, right: Tensor, is_first: bool) -> None:
    """Add a matrix product to a total of any dtype, or store the product there if it is the first."""
    if total.dtype != right.dtype:
        product = left @ right
        if is_first:
            total.copy_(product)
        else:
            total += product
    elif is_first:
        torch.mm(left, right, out=total)
    else:
        total.addmm_(left, right)


def _rounded_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple

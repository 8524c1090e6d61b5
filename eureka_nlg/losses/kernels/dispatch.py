"""The choice of the implementation of the two passes."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from eureka_nlg.losses.kernels import native, portable
from eureka_nlg.losses.kernels.passes import Passes

__all__ = ["passes_for"]


def passes_for(logits: Tensor) -> Passes:
    """The fastest available implementation for the dtype and device of these logits."""
    # an implementation is a module with the two functions of Passes
    if logits.device.type == "cpu" and native.supports(logits):
        return cast(Passes, native)
    if logits.device.type == "cuda":
        from eureka_nlg.losses.kernels import triton_kernels  # Triton takes half a second to import

        if triton_kernels.supports(logits):
            return cast(Passes, triton_kernels)
    return cast(Passes, portable)

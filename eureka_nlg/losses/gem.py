"""GEM: a loss of the whole row, not of the target's log-odds alone.

Source: Li et al. 2025, "Preserving Diversity in Supervised Fine-tuning of Large Language Models". With logits
``z``, target ``y``, ``q = softmax(z / temperature)`` and factors ``h`` the loss of a row is

    sum_j q_j h_j (log p_j - log p_y) = sum_j q_j h_j (z_j - z_y),

where q and h are held fixed. So the gradient is ``q_j h_j`` at ``j != y``, and minus their sum at y. A target
that is already likely is not made more likely at the cost of the other classes, whose distribution is
preserved. With ``h = 1`` this is the gradient of ``temperature`` times the cross-entropy of
``z / temperature``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from typing_extensions import Unpack

from eureka_nlg.losses.checks import Options as Shared
from eureka_nlg.losses.kernels import RowStatistics, passes_for
from eureka_nlg.losses.logits import loss_of_rows
from eureka_nlg.losses.modules import LogitsLoss
from eureka_nlg.losses.options import Impl, Reduction, SharedArguments, shows_arguments_of
from eureka_nlg.options import Options, option

__all__ = ["GEMLoss", "gem_loss"]

Contrast = Literal["linear", "log_sigmoid"]
_STEEPNESS = 0.01  # of the sigmoid; the authors' value
_CHUNK_BYTES_ON_CPU = 1 << 21
_CHUNK_BYTES_ELSEWHERE = 1 << 28


@dataclass(frozen=True)
class GEM(Options):
    """Options of :func:`gem_loss`."""

    temperature: float = option(
        0.7, "GEM: temperature of the softmax that weighs the classes", above=0, name="gem_temperature"
    )
    contrast: Contrast = option(
        "linear",
        "GEM: linear, or log_sigmoid, with less gradient for classes far below the target",
        choices=Contrast,
        name="gem_contrast",
    )

    def of_rows(self, logits: Tensor, target: Tensor, impl: str) -> tuple[Tensor, None]:
        """Loss of each row, ``[N]``; see :func:`.logits.loss_of_rows`."""
        if impl == "fused":
            return _Fused.apply(logits, target, self), None
        rows = logits if logits.dtype == torch.float64 else logits.float()
        rows = torch.where((target >= 0).unsqueeze(-1), rows, 0.0)  # an ignored row may hold NaN
        gap, pull = self.gap_and_pull(rows, target.clamp(min=0).unsqueeze(-1))
        return _product(gap, pull), None

    def gap_and_pull(self, rows: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """``z_j - z_y`` and ``q_j h_j``, both ``[N, C]``; the second is detached, and 0 at the target."""
        gap = rows - rows.gather(-1, index)
        with torch.no_grad():  # detached besides, since no_grad does not stop forward-mode differentiation
            pull = torch.softmax(rows.detach() / self.temperature, -1)
            if self.contrast == "log_sigmoid":
                pull.mul_(torch.sigmoid(_STEEPNESS * gap.detach()))
            return gap, pull.scatter_(-1, index, 0.0)


def _product(gap: Tensor, pull: Tensor) -> Tensor:
    # a class without mass (pull 0) may have a gap of -inf
    return torch.where(pull == 0.0, 0.0, pull * gap).sum(-1)


def _dot(gap: Tensor, pull: Tensor) -> Tensor:
    """As :func:`_product`, with one pass less on CPUs; on other devices reading the result would wait."""
    if gap.device.type == "cpu":
        result = (gap * pull).sum(-1)  # not a matrix product, which autocast computes in half precision
        if torch.isfinite(result).all():
            return result
    return _product(gap, pull)


class _Fused(torch.autograd.Function):
    """The loss a few rows at a time, so that only the gradient has the size of the logits."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, gem: GEM) -> Tensor:
        dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
        loss = torch.empty(len(logits), dtype=dtype, device=logits.device)
        statistics = []
        for chunk in _chunks(logits):
            rows, index = logits[chunk].to(dtype).contiguous(), target[chunk].clamp(min=0).unsqueeze(-1)
            if gem.contrast == "linear":
                gap = rows - rows.gather(-1, index)
                pull = rows / gem.temperature
                statistics.append(passes_for(pull).row_statistics(pull, target[chunk], None, False))
                _write_pull(pull, target[chunk], statistics[-1], None, pull)
                pull.scatter_(-1, index, 0.0)
            else:
                gap, pull = gem.gap_and_pull(rows, index)
            loss[chunk] = _dot(gap, pull)
        known = [torch.cat([getattr(one, name) for one in statistics]) for name in _KEPT if statistics]
        ctx.save_for_backward(logits, target, *known)
        ctx.gem = gem
        return loss

    @staticmethod
    def backward(ctx: Any, of_loss: Tensor) -> tuple[Tensor | None, ...]:
        logits, target, *known = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph
            loss, _ = ctx.gem.of_rows(logits, target, "reference")
            return torch.autograd.grad(loss, logits, of_loss, create_graph=True)[0], None, None
        gradient = torch.empty_like(logits, memory_format=torch.contiguous_format)
        is_zero = (of_loss == 0.0) | (target < 0)
        for chunk in _chunks(logits):
            rows = logits[chunk].to(of_loss.dtype).contiguous()
            if known:
                pull = rows / ctx.gem.temperature
                log_odds, top, mass = (one[chunk] for one in known)
                found = RowStatistics(log_odds, None, top, mass)
                _write_pull(pull, target[chunk], found, of_loss[chunk], pull)
                gradient[chunk] = pull
                continue
            index = target[chunk].clamp(min=0).unsqueeze(-1)
            _, pull = ctx.gem.gap_and_pull(rows, index)
            pull.mul_(of_loss[chunk].unsqueeze(-1)).masked_fill_(is_zero[chunk].unsqueeze(-1), 0.0)
            gradient[chunk] = pull.scatter_(-1, index, -pull.sum(-1, keepdim=True))
        return gradient, None, None


_KEPT = ("log_odds", "top", "mass")


def _write_pull(
    scaled: Tensor, target: Tensor, found: RowStatistics, of_loss: Tensor | None, out: Tensor
) -> None:
    """Write ``q_j`` of the other classes and minus their sum at the target, times ``of_loss`` of each row.

    With h = 1 this is the gradient of cross-entropy with respect to the scaled logits, which the passes
    write.
    """
    slope = -torch.sigmoid(-found.log_odds)
    slope = slope if of_loss is None else slope * of_loss
    passes_for(scaled).write_gradient(scaled, target, None, found, slope, None, out)


def _chunks(logits: Tensor) -> list[slice]:
    size = _CHUNK_BYTES_ON_CPU if logits.device.type == "cpu" else _CHUNK_BYTES_ELSEWHERE
    rows = max(1, size // (4 * max(1, logits.shape[1])))
    return [slice(start, start + rows) for start in range(0, len(logits), rows)]


def gem_loss(
    input: Tensor,
    target: Tensor,
    *,
    temperature: float = 0.7,
    contrast: Contrast = "linear",
    impl: Impl = "auto",
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """GEM, a loss that preserves the diversity of a pretrained model in fine-tuning.

    ``sum_j q_j h_j (log p_j - log p_y)`` with ``q = softmax(z / temperature)`` and h, both held fixed. Since
    the gradient is not the derivative of the value, the value does not measure progress, and a second
    derivative has no meaning. Source: Li et al. 2025, "Preserving Diversity in Supervised Fine-tuning of
    Large Language Models".

    Args:
        temperature: temperature of q, the authors' beta; positive. The smaller it is, the more the gradient
            concentrates on the likeliest of the other classes.
        contrast: h: ``"linear"``, 1 for all classes, or ``"log_sigmoid"``, ``sigmoid((z_j - z_y) / 100)``.
        impl: ``"fused"`` works on a few rows at a time, so that only the gradient has the size of the logits;
            ``"reference"`` is plain autograd. The results are the same.
        input, target, weight, ignore_index, reduction, label_smoothing: as in
            :func:`eureka_nlg.losses.focal_loss`.

    Returns:
        The loss, as :func:`eureka_nlg.losses.eureka_loss` returns it.

    Raises:
        ValueError, TypeError, IndexError: as in :func:`eureka_nlg.losses.eureka_loss`.
    """
    options = Shared(weight, ignore_index, reduction, label_smoothing, impl)
    return loss_of_rows(input, target, GEM(temperature, contrast).of_rows, options)


class GEMLoss(LogitsLoss):
    """Module for :func:`gem_loss`; the arguments are the same."""

    @shows_arguments_of(gem_loss)
    def __init__(
        self, *, temperature: float = 0.7, contrast: Contrast = "linear", **shared: Unpack[SharedArguments]
    ) -> None:
        self._build(GEM(temperature, contrast), {}, shared)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """See :class:`LogitsLoss`."""
        return loss_of_rows(input, target, self.made(GEM).of_rows, self.shared)

"""Unlikelihood: cross-entropy that also lowers the likelihood of given classes in each row.

Source: Welleck et al. 2020, "Neural Text Generation with Unlikelihood Training", where the given classes, the
candidates, are the tokens that occurred before.

``log(1 - p_c)`` of any class c follows from two numbers: the log-odds u of the row's likeliest class m, and
``z_c - z_m``. For ``c = m`` it is ``logsigmoid(-u)``. Any other class has p of at most one half, so that
``1 - p_c`` is precise when computed from ``log p_c = z_c - z_m + logsigmoid(u)``. So one pass over the logits
serves the target and all candidates. The candidates' logits are gathered, without a mask over the classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import Unpack

from eureka_nlg.losses.checks import Options as Shared
from eureka_nlg.losses.checks import check_tensors, is_transformed
from eureka_nlg.losses.kernels import RowStatistics, passes_for, reference_log_odds
from eureka_nlg.losses.logits import loss_of_rows
from eureka_nlg.losses.modules import LogitsLoss
from eureka_nlg.losses.options import Impl, Reduction, SharedArguments, shows_arguments_of
from eureka_nlg.options import Options, option

__all__ = ["UnlikelihoodLoss", "previous_tokens", "unlikelihood_loss"]


@dataclass(frozen=True)
class Unlikelihood(Options):
    """Options of :func:`unlikelihood_loss`."""

    alpha: float = option(
        1.0, "unlikelihood: factor of the candidates' penalty", at_least=0, name="unlikelihood_alpha"
    )

    def of_rows(self, logits: Tensor, target: Tensor, candidates: Tensor, impl: str) -> tuple[Tensor, Tensor]:
        """Cross-entropy and ``-alpha sum_c log(1 - p_c)`` of each row, both ``[N]``."""
        log_p, log_not_p = log_likelihoods(logits, target, candidates, impl)
        return -log_p, -self.alpha * log_not_p.sum(-1)


def log_likelihoods(logits: Tensor, target: Tensor, candidates: Tensor, impl: str) -> tuple[Tensor, Tensor]:
    """``log p`` of the targets ``[N]``, and ``log(1 - p)`` of the candidates ``[N, K]``.

    Args:
        logits: ``[N, C]``.
        target: ``[N]`` int64, negative in ignored rows.
        candidates: ``[N, K]`` int64. If a candidate is negative or the target, its result is 0.
        impl: "fused" or "reference".
    """
    kept = (candidates >= 0) & (candidates != target.unsqueeze(-1)) & (target >= 0).unsqueeze(-1)
    index = torch.cat([target.clamp(min=0).unsqueeze(-1), torch.where(kept, candidates, 0)], -1)
    # half precision is converted here, so that its gradient is rounded only once
    rows = logits if logits.dtype == torch.float64 else logits.float()
    counts = (target >= 0).unsqueeze(-1)
    if impl == "reference":  # a NaN in an ignored row must not reach the gradient
        rows = torch.where(counts, rows, 0.0)
    top = rows.detach().argmax(-1, keepdim=True) if rows.shape[-1] else index[:, :1]
    if impl == "fused":
        log_odds, gap = _Gathered.apply(rows, torch.where(counts, top, -1), index)
        log_odds, gap = torch.where(counts[:, 0], log_odds, 0.0), torch.where(counts, gap, 0.0)
    else:
        log_odds, gap = _gathered(rows, top, index)
    # the gap of the likeliest class is set to 0: computed from infinite logits it would be NaN
    log_p = F.logsigmoid(log_odds).unsqueeze(-1) + torch.where(index == top, 0.0, gap)
    is_top = index[:, 1:] == top
    of_others = torch.log1p(-torch.exp(torch.where(is_top, -1.0, log_p[:, 1:])))
    log_not_p = torch.where(is_top, F.logsigmoid(-log_odds).unsqueeze(-1), of_others)
    return log_p[:, 0], torch.where(kept, log_not_p, 0.0)


class _Gathered(torch.autograd.Function):
    """Log-odds ``[N]`` of one class per row, and ``[N, K]`` logits of others minus the logit of that class.

    Only the gradient has the size of the logits; the backward pass scatters into it.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, top: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        found = passes_for(logits).row_statistics(logits, top.squeeze(-1), None, False)
        ctx.save_for_backward(logits, top, index, found.log_odds, found.top, found.mass)
        return found.log_odds, logits.gather(-1, index) - logits.gather(-1, top.clamp(min=0))

    @staticmethod
    def backward(ctx: Any, of_log_odds: Tensor, of_gap: Tensor) -> tuple[Tensor | None, ...]:
        logits, top, index, log_odds, largest, mass = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph
            clean = torch.where(top >= 0, logits, 0.0)
            again = _gathered(clean, top.clamp(min=0), index)
            slopes = of_log_odds, of_gap
            return torch.autograd.grad(again, logits, slopes, create_graph=True)[0], None, None
        gradient = torch.empty_like(logits, memory_format=torch.contiguous_format)
        found = RowStatistics(log_odds, None, largest, mass)
        passes_for(logits).write_gradient(
            logits, top.squeeze(-1), None, found, of_log_odds.contiguous(), None, gradient
        )
        gradient.scatter_add_(-1, index, of_gap)
        gradient.scatter_add_(-1, top.clamp(min=0), -of_gap.sum(-1, keepdim=True))
        return gradient, None, None


def _gathered(rows: Tensor, top: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """The results of :class:`_Gathered` in plain autograd; ``top`` is valid in every row."""
    log_odds, _ = reference_log_odds(rows, top.squeeze(-1), None, False)
    return log_odds, rows.gather(-1, index) - rows.gather(-1, top)


def unlikelihood_loss(
    input: Tensor,
    target: Tensor,
    candidates: Tensor,
    *,
    alpha: float = 1.0,
    impl: Impl = "auto",
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Unlikelihood loss: cross-entropy minus ``alpha`` times the sum of ``log(1 - p_c)`` over candidates c.

    The loss goes to infinity as a candidate's likelihood goes to 1; its gradient is bounded. Source: Welleck
    et al. 2020, "Neural Text Generation with Unlikelihood Training", Eq. 4.

    Args:
        input: logits ``[N, C]``, ``[N, C, d1, ...]`` or ``[C]``, floating.
        candidates: integer, in the shape of ``input`` with K instead of C: the classes of each row whose
            likelihood is to fall. A candidate that is negative or the row's target is ignored; one that is
            listed twice counts twice. For sentences, :func:`previous_tokens` makes them.
        alpha: factor of the candidates' part, not negative; 0 gives cross-entropy.
        weight: class weights ``[C]``. They multiply the cross-entropy of a row, not the candidates' part.
        reduction: as in :func:`eureka_nlg.losses.eureka_loss`; in ``"mean"``, the candidates' part has the
            plain mean over the rows that are not ignored.
        target, impl, ignore_index, label_smoothing: as in :func:`eureka_nlg.losses.eureka_loss`.

    Returns:
        The loss, as :func:`eureka_nlg.losses.eureka_loss` returns it.

    Raises:
        ValueError, TypeError, IndexError: as in :func:`eureka_nlg.losses.eureka_loss`; also IndexError if a
            candidate is C or more.

    >>> loss = unlikelihood_loss(torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0]), torch.tensor([[1, -1]]))
    >>> p = torch.tensor([2.0, 0.0, 0.0]).softmax(0)
    >>> torch.isclose(loss, -p[0].log() - (1 - p[1]).log())
    tensor(True)
    """
    options = Shared(weight, ignore_index, reduction, label_smoothing, impl)
    return _loss(input, target, candidates, Unlikelihood(alpha), options)


class UnlikelihoodLoss(LogitsLoss):
    """Module for :func:`unlikelihood_loss`; the arguments are the same."""

    @shows_arguments_of(unlikelihood_loss, without=("input", "target", "candidates"))
    def __init__(self, *, alpha: float = 1.0, **shared: Unpack[SharedArguments]) -> None:
        self._build(Unlikelihood(alpha), {}, shared)

    def forward(  # type: ignore[override]
        self, input: Tensor, target: Tensor, candidates: Tensor
    ) -> Tensor:
        """Loss of logits, targets and candidates, in the shapes that the function accepts."""
        return _loss(input, target, candidates, self.made(Unlikelihood), self.shared)


def previous_tokens(target: Tensor, ignore_index: int = -100, before: Tensor | None = None) -> Tensor:
    """The candidates of token-level unlikelihood: the tokens before each position of a sentence.

    Args:
        target: ``[B, T]`` integer, tokens of B sentences.
        ignore_index: target of ignored positions, which are no candidates.
        before: ``[B, S]``, tokens that precede each sentence, such as its context; ``ignore_index`` marks
            ignored positions here too.

    Returns:
        int64 ``[B, T, S + T]``: each distinct token that precedes the position, once, and -1 elsewhere. It
        may include the token of the position itself, which :func:`unlikelihood_loss` ignores.

    >>> previous_tokens(torch.tensor([[5, 6, 5, 7]]))[0, 3]
    tensor([ 5,  6, -1, -1])
    """
    tokens = target.long() if before is None else torch.cat([before.long(), target.long()], 1)
    place = torch.arange(tokens.shape[1], dtype=torch.int64, device=tokens.device)
    earlier = place.unsqueeze(1) > place
    is_first = ~((tokens.unsqueeze(2) == tokens.unsqueeze(1)) & earlier).any(2)
    tokens = torch.where(is_first & (tokens != ignore_index), tokens, -1)
    return torch.where(earlier[tokens.shape[1] - target.shape[1] :], tokens.unsqueeze(1), -1)


def _loss(
    input: Tensor, target: Tensor, candidates: Tensor, unlikelihood: Unlikelihood, options: Shared
) -> Tensor:
    options.check()
    check_tensors(input, target)
    listed = _check_candidates(input, candidates)
    return loss_of_rows(
        input,
        target,
        lambda logits, labels, impl: unlikelihood.of_rows(logits, labels, listed, impl),
        options,
    )


def _check_candidates(input: Tensor, candidates: Tensor) -> Tensor:
    """Return the candidates as ``[N, K]`` int64; raises what :func:`unlikelihood_loss` raises."""
    if not isinstance(candidates, Tensor):
        raise TypeError(f"candidates must be a tensor, got {type(candidates).__name__}")
    if candidates.is_floating_point() or candidates.is_complex() or candidates.dtype == torch.bool:
        raise TypeError(f"candidates must hold integer class indices, got {candidates.dtype}")
    class_dim = 1 if input.dim() > 1 else 0
    shape = [*input.shape[:class_dim], -1, *input.shape[class_dim + 1 :]]
    given = list(candidates.shape)
    if len(given) != len(shape) or any(one != other for one, other in zip(given, shape) if other >= 0):
        expected = str(shape).replace("-1", "K")
        raise ValueError(
            f"candidates must have shape {expected}, K classes for each row of input of shape "
            f"{list(input.shape)}, got {given}"
        )
    listed = candidates.movedim(class_dim, -1).reshape(-1, given[class_dim]).long()
    num_classes = input.shape[class_dim]
    if listed.device.type == "cpu" and listed.numel() and not is_transformed(listed):
        highest = int(listed.max())
        if highest >= num_classes:
            raise IndexError(
                f"candidate {highest} is out of bounds for {num_classes} classes: expected 0 to "
                f"{num_classes - 1}, or a negative number for no candidate"
            )
    return listed

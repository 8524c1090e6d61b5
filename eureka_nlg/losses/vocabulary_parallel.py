"""The Eureka loss for an output layer that is split by classes over processes (tensor parallelism).

Each process has the logits of some consecutive classes, for the same rows. The processes exchange only a few
numbers per row. One exchange finds the largest logit of the classes other than the target (N numbers for N
rows). A second one sums up the exponentials of these logits, the target's logit and, with label smoothing,
the mean cost of the classes (2 N or 3 N numbers of 8 bytes). The backward pass exchanges nothing: each
process writes the gradient of its own logits.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.distributed as distributed
from torch import Tensor
from typing_extensions import Unpack

from eureka_nlg.losses.bonus import Bonus, BonusOptions
from eureka_nlg.losses.checks import Encouragement, Options, check_arguments, check_encouragement
from eureka_nlg.losses.kernels import RowStatistics, passes_for
from eureka_nlg.losses.objectives import Objective, eureka_objective
from eureka_nlg.losses.options import Reduction, built, shows_arguments_of
from eureka_nlg.losses.rows import Rows, reduced, result_dtype

__all__ = ["vocabulary_parallel_eureka_loss"]


@shows_arguments_of(Bonus)
def vocabulary_parallel_eureka_loss(
    input: Tensor,
    target: Tensor,
    encouragement: Encouragement = None,
    *,
    num_classes: int | None = None,
    first_class: int | None = None,
    group: Any = None,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    **options: Unpack[BonusOptions],
) -> Tensor:
    """:func:`.eureka_loss` of logits whose classes are split over a process group.

    Every process of the group calls it with the same rows and gets the same value. The backward pass gives
    the gradient of this loss with respect to the logits of the process, as in the cross-entropy of Megatron
    and of DTensor. There is no second derivative.

    Args:
        input: logits ``[N, C_local]`` of consecutive classes, floating; or a ``DTensor`` ``[N, C]`` that is
            sharded in dimension 1 of a one-dimensional mesh, which makes the next three arguments
            unnecessary.
        target: class indices ``[N]`` in ``[0, C)`` or ``ignore_index``; the same in all processes.
        encouragement: as in :func:`.eureka_loss`, for all C classes; the same in all processes.
        num_classes: C. By default the processes exchange their numbers of classes, once more per call.
        first_class: index of the first class of this process. By default the classes are in the order of the
            ranks; finding it takes the same exchange.
        group: process group of ``torch.distributed``; None for all processes.
        weight: class weights ``[C]`` of all classes.
        ignore_index, reduction, label_smoothing: as in :func:`.eureka_loss`.
        **options: of the bonus, as in :func:`.eureka_loss`.

    Returns:
        The loss, a plain tensor, in the dtype of ``input`` (float32 under autocast).

    Raises:
        ValueError, TypeError: shapes, dtypes or options do not fit; the message says which.
        IndexError: a target is outside ``[0, C)`` and is not ``ignore_index``.
    """
    if input.dim() != 2:
        raise ValueError(f"input must have shape [N, C_local], got {list(input.shape)}")
    dtype = result_dtype(input)
    shard = _shard_of(input, num_classes, first_class, group)
    encouragement = check_encouragement(encouragement, shard.num_classes)
    objective = eureka_objective(encouragement, built(Bonus, "vocabulary_parallel_eureka_loss", options))
    shared = Options(weight, ignore_index, reduction, label_smoothing)
    check_arguments(shard.logits.new_empty(1).expand(len(input), shard.num_classes), target, shared)
    return _loss(shard, target, objective, shared).to(dtype)


class _Shard(NamedTuple):
    """The logits of this process, ``[N, C_local]``, and the position of their classes among all classes."""

    logits: Tensor
    first: int
    num_classes: int
    group: Any


def _shard_of(input: Tensor, num_classes: int | None, first_class: int | None, group: Any) -> _Shard:
    if hasattr(input, "placements"):
        sharded: Any = input  # a DTensor; importing its class would take a second
        placements, mesh = sharded.placements, sharded.device_mesh
        if len(placements) != 1 or not placements[0].is_shard(1):
            raise ValueError(
                f"input must be sharded in dimension 1 of a one-dimensional mesh, got {list(placements)}"
            )
        group, num_classes = mesh.get_group(), input.shape[1]
        share = -(-num_classes // mesh.size())  # as torch.chunk splits a dimension
        first_class = min(num_classes, share * mesh.get_local_rank())
        input = sharded.to_local()
    if not distributed.is_initialized():
        raise ValueError("there is no process group: call torch.distributed.init_process_group before")
    size = input.shape[1]
    if num_classes is None or first_class is None:
        sizes = [torch.zeros(1, dtype=torch.int64, device=input.device) for _ in range(_world_size(group))]
        distributed.all_gather(sizes, sizes[0].new_tensor([size]), group=group)
        of_ranks = [int(one) for one in sizes]
        first = sum(of_ranks[: distributed.get_rank(group)])
        num_classes, first_class = num_classes or sum(of_ranks), first if first_class is None else first_class
    if not 0 <= first_class <= first_class + size <= num_classes:
        raise ValueError(
            f"first_class and num_classes must leave room for the {size} classes of input, "
            f"got {first_class} and {num_classes}"
        )
    return _Shard(input, first_class, num_classes, group)


def _world_size(group: Any) -> int:
    return int(distributed.get_world_size(group))


def _loss(shard: _Shard, target: Tensor, objective: Objective, options: Options) -> Tensor:
    dtype = torch.float64 if shard.logits.dtype == torch.float64 else torch.float32
    rows = Rows.of(target, shard.num_classes, options, dtype)
    if options.reduction == "mean" and objective.reward is not None:
        rows = rows.balanced()
    with_uniform = options.label_smoothing > 0.0
    log_odds, uniform = _LogOdds.apply(
        shard.logits, rows.only_kept(rows.target, -1), rows.class_weight, shard, with_uniform
    )
    return reduced(rows.loss(objective, log_odds, uniform if with_uniform else None), rows, options.reduction)


class _LogOdds(torch.autograd.Function):
    """As :func:`eureka_nlg.losses.kernels.fused_log_odds`, with the classes split over processes."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, target: Tensor, weight: Tensor | None, shard: _Shard, with_uniform: bool
    ) -> tuple[Tensor, Tensor]:
        place = _Place.of(logits, target, weight, shard)
        local = _local_statistics(logits, place, with_uniform)
        top, mass, own, uniform = _exchanged(local, place, shard.group)
        others = mass.log()
        log_odds = own - others
        # a target logit of +inf is an overflow, not certainty; ignored rows have no log-odds
        log_odds.masked_fill_((own == math.inf) | (target < 0), math.nan)
        if uniform is not None:
            # logsumexp of all classes: adding the softplus to the larger of the two is more precise
            lse = torch.where(
                log_odds > 0.0, own + (-log_odds).exp().log1p(), others + log_odds.exp().log1p()
            )
            uniform = lse + uniform
        dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
        found = [value.to(dtype) for value in (log_odds, top, mass)]
        ctx.place, ctx.with_uniform = place, with_uniform
        ctx.save_for_backward(logits, *found)
        ctx.set_materialize_grads(False)
        return found[0], found[0].new_empty(0) if uniform is None else uniform.to(dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph
            raise RuntimeError("the vocabulary-parallel loss has no second derivative")
        logits, log_odds, top, mass = ctx.saved_tensors
        place, (of_log_odds, of_uniform) = ctx.place, gradients
        of_log_odds = torch.zeros_like(mass) if of_log_odds is None else of_log_odds
        of_uniform = of_uniform if ctx.with_uniform else None
        gradient = torch.empty_like(logits, memory_format=torch.contiguous_format)
        if not gradient.numel():
            return gradient, None, None, None, None
        of_others, of_all = -of_log_odds, None
        if of_uniform is not None:
            of_others = of_others + of_uniform * torch.sigmoid(-log_odds)
            of_all = of_uniform / place.all_weight
        # The pass divides by the weight of the local classes; the weight of all classes is needed.
        here = None if of_all is None or place.local_weight == 0.0 else of_all * place.local_weight
        slope = -of_others if here is None else here * torch.sigmoid(-log_odds) - of_others
        found = RowStatistics(log_odds, None, top, mass)
        weight = None if here is None else place.weight  # nothing is divided by a sum of zero
        passes_for(logits).write_gradient(
            logits, place.column_or_none, weight, found, slope, here, out=gradient
        )
        # The class at `column` is the target, or the first class if the target is in another process.
        column = place.column.unsqueeze(1)
        q = (logits.gather(1, column).squeeze(1).to(top.dtype) - top).exp() / mass
        elsewhere = of_others * torch.where(mass == 0.0, 0.0, q)
        own = of_log_odds if of_uniform is None else of_log_odds + of_uniform * torch.sigmoid(log_odds)
        value = torch.where(place.is_here, own, elsewhere)
        if of_all is not None:
            value = value - of_all * (1.0 if place.weight is None else place.weight[place.column])
        is_zero = (place.target < 0) | (of_log_odds == 0.0)
        if of_uniform is not None:
            is_zero = (place.target < 0) | ((of_log_odds == 0.0) & (of_uniform == 0.0))
        value = torch.where(is_zero, 0.0, value)
        gradient.scatter_(1, column, value.to(gradient.dtype).unsqueeze(1))
        return gradient, None, None, None, None


class _Place(NamedTuple):
    """The targets ``[N]`` relative to the classes of this process, the local classes.

    Attributes:
        target: index among all classes; negative in ignored rows.
        is_here: whether the target is a local class.
        column: index of the target among the local classes; 0 if it is not one of them.
        column_or_none: the same, but negative in ignored rows.
        weight: ``[C_local]``, class weights of the local classes; None for 1.
        local_weight, all_weight: sums of the class weights of the local classes and of all classes.
    """

    target: Tensor
    is_here: Tensor
    column: Tensor
    column_or_none: Tensor
    weight: Tensor | None
    local_weight: float
    all_weight: float

    @classmethod
    def of(cls, logits: Tensor, target: Tensor, weight: Tensor | None, shard: _Shard) -> _Place:
        size = logits.shape[1]
        index = target - shard.first
        is_here = (index >= 0) & (index < size) & (target >= 0)
        index = torch.where(is_here, index, 0)
        none = torch.where(target < 0, -1, index)
        if weight is None:
            return cls(target, is_here, index, none, None, float(size), float(shard.num_classes))
        part = weight[shard.first : shard.first + size].contiguous()
        return cls(target, is_here, index, none, part, part.sum().item(), weight.sum().item())


class _Local(NamedTuple):
    """Statistics of the local classes, each ``[N]`` float64; see :class:`RowStatistics`.

    Attributes:
        top: the largest logit of the local classes other than the target; -inf if there is none.
        mass: the sum of their exponentials relative to ``top``.
        own: logit of the target; -inf if it is in another process.
        uniform: cross-entropy of the local classes against the uniform distribution over them, if requested.
        lse: the logsumexp of the local classes, which ``uniform`` is relative to.
    """

    top: Tensor
    mass: Tensor
    own: Tensor
    uniform: Tensor | None
    lse: Tensor


def _local_statistics(logits: Tensor, place: _Place, with_uniform: bool) -> _Local:
    if not logits.shape[1]:
        nothing = logits.new_full(logits.shape[:1], -math.inf, dtype=torch.float64)
        return _Local(nothing, nothing.exp(), nothing, nothing.exp() if with_uniform else None, nothing)
    found = passes_for(logits).row_statistics(logits, place.column_or_none, place.weight, with_uniform)
    own = logits.gather(1, place.column.unsqueeze(1)).squeeze(1).double()
    mass = found.mass.double()
    top = torch.where(mass == 0.0, -math.inf, found.top.double())
    # if the target is in another process, the first class is one of the others
    higher = torch.where(place.is_here, top, torch.maximum(top, own))
    safe = torch.where(higher == -math.inf, 0.0, higher)
    mass = mass * (top - safe).exp() + torch.where(place.is_here, 0.0, (own - safe).exp())
    own = torch.where(place.is_here, own, -math.inf)
    lse = torch.logaddexp(safe + mass.log(), own)
    return _Local(higher, mass, own, None if found.uniform is None else found.uniform.double(), lse)


def _exchanged(local: _Local, place: _Place, group: Any) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Statistics of all classes: top, mass, the target's logit minus the top, and the mean of top - logit."""
    top = local.top.clone()
    distributed.all_reduce(top, distributed.ReduceOp.MAX, group=group)
    top = torch.where(top == -math.inf, 0.0, top)
    sums = [
        torch.where(local.mass == 0.0, 0.0, local.mass * (local.top - top).exp()),
        torch.where(place.is_here, local.own - top, 0.0),
    ]
    if local.uniform is not None:
        share = place.local_weight / place.all_weight
        below = torch.zeros_like(top) if share == 0.0 else share * (local.uniform - (local.lse - top))
        nothing_here = local.lse == -math.inf
        below.masked_fill_(nothing_here, math.inf if share else 0.0)
        sums.append(below)
    together = torch.stack(sums)
    distributed.all_reduce(together, group=group)
    return top, together[0], together[1], together[2] if local.uniform is not None else None

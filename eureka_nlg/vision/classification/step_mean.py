"""The mean loss of a step, which does not depend on how the step is split into parts and over processes."""

from __future__ import annotations

from torch import Tensor, nn
from torch.func import functional_call

__all__ = ["step_mean"]


def step_mean(loss: nn.Module, logits: Tensor, labels: Tensor, step_labels: Tensor) -> Tensor:
    """The contribution of a part to the mean loss of its step.

    With class weights w, the mean over the N images of a step is ``sum w_y term / sum w_y + sum reward / N``.
    Both denominators are those of the whole step, so the average of the parts' means would differ. This mean
    equals a sum of losses with weights scaled by ``N / sum w_y``, divided by N, for any loss.

    Args:
        loss: module with ``reduction="sum"``, whose class weights, if any, are its buffer ``weight``.
        logits: ``[B, C]`` logits of the part.
        labels: ``[B]`` classes of the part.
        step_labels: ``[N]`` classes of the whole step.

    Returns:
        A scalar; the sum over the parts of all processes is the mean loss of the step.
    """
    count = len(step_labels)
    weight = getattr(loss, "weight", None)
    if weight is None:
        return loss(logits, labels) / count
    scaled = weight * (count / weight[step_labels].sum())
    return functional_call(loss, {"weight": scaled}, (logits, labels)) / count

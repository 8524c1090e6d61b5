"""The mean loss of a step, exact however the step is split into parts and over processes."""

from __future__ import annotations

from torch import Tensor, nn
from torch.func import functional_call

__all__ = ["step_mean"]


def step_mean(loss: nn.Module, logits: Tensor, labels: Tensor, step_labels: Tensor) -> Tensor:
    """What a part adds to the mean loss of its step.

    With class weights w the mean over the N images of a step is ``sum w_y term / sum w_y + sum reward / N``.
    Its two denominators belong to the whole step: the means of the parts, averaged, are something else. A sum
    whose weights are scaled by ``N / sum w_y``, divided by N, is this mean, whatever the loss.

    Args:
        loss: module with ``reduction="sum"``, whose class weights, if any, are its buffer ``weight``.
        logits: ``[B, C]`` of the part.
        labels: ``[B]`` of the part.
        step_labels: ``[N]`` of the whole step.

    Returns:
        A scalar; the sum over the parts of all processes is the mean of the step.
    """
    count = len(step_labels)
    weight = getattr(loss, "weight", None)
    if weight is None:
        return loss(logits, labels) / count
    scaled = weight * (count / weight[step_labels].sum())
    return functional_call(loss, {"weight": scaled}, (logits, labels)) / count

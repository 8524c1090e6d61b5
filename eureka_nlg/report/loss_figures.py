"""Figures of the loss itself, without any model: its curves, and the weight of its bonus by frequency."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from eureka_nlg.report.panels import add_legend, color_of, dash_of, new_figure, set_log_axis
from eureka_nlg.report.theme import MUTED, themed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["encouragement_by_frequency", "loss_curves"]


@themed
def encouragement_by_frequency(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    narrow: bool = False,
    title: str = "Encouragement by frequency",
) -> Figure:
    """Weight of the bonus over the training count of a class, both on log scales (paper, Eq. 9).

    Args:
        curves: label, such as ``"beta 0.999"`` -> (counts, weights), with rising counts.
        narrow: for a phone.
        title: above the panel.
    """
    figure, (axes,) = new_figure(1, narrow, 1, 2.7, title, width=5.5)
    lines = {
        label: axes.plot(counts, weights, color=color_of(index), linestyle=dash_of(index))[0]
        for index, (label, (counts, weights)) in enumerate(curves.items())
    }
    axes.axhline(1.0, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
    set_log_axis(axes, "x", "occurrences in the training data, log scale")
    set_log_axis(axes, "y", "encouragement, log scale")
    add_legend(figure, lines, narrow)
    return figure


@themed
def loss_curves(
    objectives: Mapping[str, Callable[[Tensor], Tensor]],
    *,
    narrow: bool = False,
    title: str = "Loss and likelihood gradient",
    num_points: int = 400,
) -> Figure:
    """Loss, and its slope in the likelihood, over the likelihood (paper, Figures 1 and 2 left).

    Args:
        objectives: label -> loss (nats) as a differentiable function of the target's log-odds
            ``u = log p - log(1 - p)``, elementwise on a float64 tensor.
        narrow: one panel wide instead of two.
        title: above the panels.
        num_points: likelihoods at which the objectives are computed.
    """
    figure, (left, right) = new_figure(2, narrow, 2, 2.6, title)
    lines = {}
    highest = 0.0
    likelihood = torch.linspace(0.01, 0.99, num_points, dtype=torch.float64)
    for index, (label, objective) in enumerate(objectives.items()):
        log_odds = torch.logit(likelihood).requires_grad_()
        loss = objective(log_odds)
        (slope,) = torch.autograd.grad(loss.sum(), log_odds)
        gradient = slope / (likelihood * (1 - likelihood))  # du/dp = 1 / (p (1 - p))
        highest = max(highest, gradient.max().item())
        # Where curves coincide, the first lies on top, and the others show through the gaps of its dashes.
        style = {"color": color_of(index), "linestyle": dash_of(index), "zorder": 3 - 0.1 * index}
        (lines[label],) = left.plot(likelihood.tolist(), loss.detach().tolist(), **style)
        right.plot(likelihood.tolist(), gradient.tolist(), **style)
    left.set(xlim=(0, 1), ylabel="loss (nats)", xlabel="likelihood of the right class")
    right.set(xlim=(0, 1), ylabel="d loss / d likelihood (nats)", xlabel="likelihood of the right class")
    # near 0 every slope goes to minus infinity: the axis is cut so that the middle stays visible
    right.set_ylim(-14, 0.5 + 1.1 * highest)
    add_legend(figure, lines, narrow, columns=4)
    return figure

"""Draw loss and likelihood gradient over the target's likelihood (paper, Figures 1 and 2, left).

python scripts/figure_losses.py            # docs/figures/{losses,rivals}.{png,svg}, in seconds
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from eureka_nlg.losses import gem_loss
from eureka_nlg.losses.bonus import Bonus
from eureka_nlg.losses.objectives import SCALAR_LOSSES, Objective, eureka_objective
from eureka_nlg.report.loss_figures import loss_curves
from eureka_nlg.report.theme import write_figure

PAPER = {
    "cross-entropy": SCALAR_LOSSES["cross_entropy"]().objective(),
    "Eureka": eureka_objective(1.0, Bonus()),
    "focal, gamma 2": SCALAR_LOSSES["focal"]().objective(),
    "halted focal, gamma 2": SCALAR_LOSSES["halted_focal"]().objective(),
    "simplified Eureka": eureka_objective(1.0, Bonus(threshold=0.5)),
    "power bonus, gamma 2": eureka_objective(1.0, Bonus("power", 2.0)),
    "conservative, cap 0.75": eureka_objective(1.0, Bonus(likelihood_cap=0.75)),
}
# with their default options
RIVALS = {
    "cross-entropy": PAPER["cross-entropy"],
    "Eureka": PAPER["Eureka"],
    **{
        name.replace("_", " "): loss().objective()
        for name, loss in SCALAR_LOSSES.items()
        if name not in ("cross_entropy", "focal", "halted_focal")
    },
    "GEM, of two classes": Objective(lambda log_odds, target: gem(log_odds)),
}


def gem(log_odds: Tensor) -> Tensor:
    """GEM needs the whole row: here that of one class beside the target."""
    logits = torch.stack([log_odds, torch.zeros_like(log_odds)], -1)
    return gem_loss(logits, torch.zeros(len(logits), dtype=torch.long), reduction="none")


def main() -> None:
    """Draw and save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", default="docs/figures", help="folder")
    args = parser.parse_args()
    for name, objectives in (("losses", PAPER), ("rivals", RIVALS)):
        figure = loss_curves({label: as_function(objective) for label, objective in objectives.items()})
        for path in write_figure(figure, args.out, name):
            print(f"wrote {path}")


def as_function(objective: Objective) -> Callable[[Tensor], Tensor]:
    """The loss of a row as a function of its log-odds alone."""

    def loss(log_odds: Tensor) -> Tensor:
        target = torch.zeros(log_odds.shape, dtype=torch.long)
        value = objective.term(log_odds, target)
        return value if objective.reward is None else value + objective.reward(log_odds, target)

    return loss


if __name__ == "__main__":
    main()

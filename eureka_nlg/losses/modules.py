"""``torch.nn`` faces of the functions in :mod:`eureka_nlg.losses.functional`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from eureka_nlg.frequency import ClassCounts
from eureka_nlg.frequency import encouragement as encouragement_of
from eureka_nlg.losses.functional import Encouragement, check_encouragement, eureka_loss
from eureka_nlg.losses.log_odds import Bonus

__all__ = ["EurekaLoss"]


class EurekaLoss(nn.Module):
    """Module of :func:`eureka_nlg.losses.eureka_loss`; the arguments are the same.

    A tensor of encouragements becomes a float32 buffer: it moves with ``.to(device)`` and is stored in
    the state dict, but stays float32 under ``.half()`` and ``.to(dtype)``, since a long-tailed
    vocabulary spans more orders of magnitude than half precision has digits for.

    >>> loss_function = EurekaLoss.from_counts([900, 90, 9], beta=0.99)
    >>> loss_function(torch.randn(4, 3), torch.tensor([0, 1, 2, 2])).shape
    torch.Size([])
    """

    encouragement: Tensor | float | None
    weight: Tensor | None

    def __init__(
        self,
        encouragement: Encouragement = None,
        *,
        bonus: str = "likelihood",
        gamma: float = 1.0,
        threshold: float | None = None,
        likelihood_cap: float | None = None,
        impl: str = "auto",
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        Bonus(bonus, gamma, threshold, likelihood_cap)  # raises on bad options now, not at the first batch
        encouragement = check_encouragement(encouragement)
        if isinstance(encouragement, Tensor):
            self.register_buffer("encouragement", encouragement.detach().to(torch.float32, copy=True))
        else:
            self.encouragement = encouragement
        self.register_buffer("weight", None if weight is None else weight.detach().clone())
        self.bonus = bonus
        self.gamma = gamma
        self.threshold = threshold
        self.likelihood_cap = likelihood_cap
        self.impl = impl
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = label_smoothing

    @classmethod
    def from_counts(
        cls,
        class_counts: ClassCounts,
        beta: float = 0.999,
        *,
        measure: str = "effective_number",
        normalization: str = "mean_measure",
        **options: Any,
    ) -> EurekaLoss:
        """Build the loss from the training counts of the classes.

        Args:
            class_counts, beta, measure, normalization: as :func:`eureka_nlg.frequency.encouragement`.
            **options: as the constructor.

        Raises:
            ValueError: bad counts, beta or options.
        """
        weights = encouragement_of(
            class_counts, beta, measure=measure, normalization=normalization, dtype=torch.float32
        )
        return cls(weights, **options)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of logits ``[N, C, ...]`` and class indices ``[N, ...]``."""
        return eureka_loss(
            input,
            target,
            self.encouragement,
            bonus=self.bonus,
            gamma=self.gamma,
            threshold=self.threshold,
            likelihood_cap=self.likelihood_cap,
            impl=self.impl,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )

    def extra_repr(self) -> str:
        """Options as ``print(module)`` shows them."""
        encouragement = self.encouragement
        shown = f"[{len(encouragement)}]" if isinstance(encouragement, Tensor) else encouragement
        return f"encouragement={shown}, bonus={self.bonus!r}, reduction={self.reduction!r}"

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> EurekaLoss:
        exact = self.encouragement
        super()._apply(fn, recurse)
        if isinstance(exact, Tensor) and isinstance(self.encouragement, Tensor):
            moved = self.encouragement
            if moved.dtype != exact.dtype:
                self.encouragement = exact.to(moved.device)  # the move, without the rounding
        return self

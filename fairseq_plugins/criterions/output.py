"""The output of a model for a batch, as criterions need it: one row per token, and the targets."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from eureka_nlg.losses.checks import Options
from eureka_nlg.losses.logits import loss_and_log_odds
from eureka_nlg.losses.objective import Objective
from eureka_nlg.losses.projection import loss_and_log_odds_of_projection
from fairseq_plugins.model_output import features_for, logits_of, output_layer_of

__all__ = ["Output", "without_prefix"]


class Output(NamedTuple):
    """The tokens of a batch, without those of an ignored prefix.

    Attributes:
        values: logits ``[N, C]``; under ``--fused-linear`` the input of the output layer, ``[N, H]``.
        target: ``[N]``.
        layer: weight ``[C, H]`` and bias ``[C]`` (or None) of the output layer under ``--fused-linear``,
            else None.
    """

    values: Tensor
    target: Tensor
    layer: tuple[Tensor, Tensor | None] | None

    @classmethod
    def of(cls, model: Any, sample: dict[str, Any], cfg: Any) -> Output:
        """Run the model on a batch, with the options of the criterion."""
        if cfg.fused_linear:
            layer = output_layer_of(model)
            with features_for(model):
                net_output = model(**sample["net_input"])
            values = net_output[0]
        else:
            layer = None
            net_output = model(**sample["net_input"])
            values = logits_of(model, net_output)
        target = model.get_targets(sample, net_output)
        return cls(without_prefix(values, cfg), without_prefix(target, cfg), layer)

    @property
    def num_classes(self) -> int:
        """C."""
        return self.values.size(-1) if self.layer is None else self.layer[0].size(0)

    def loss_and_log_odds(
        self, offset: Tensor | None, objective: Objective, options: Options
    ) -> tuple[Tensor, Tensor]:
        """Loss and log-odds ``[N]`` of the logits, to which an offset ``[C]`` may be added."""
        if self.layer is None:
            logits = self.values if offset is None else self.values + offset
            return loss_and_log_odds(logits, self.target, objective, options)
        weight, bias = self.layer
        if offset is not None:
            bias = offset.to(weight.dtype) if bias is None else bias + offset.to(bias.dtype)
        return loss_and_log_odds_of_projection(self.values, weight, bias, self.target, objective, options)


def without_prefix(values: Tensor, cfg: Any) -> Tensor:
    """``[B, T, ...]`` -> ``[N, ...]``, without the first tokens of ``--ignore-prefix-size``."""
    return values[:, cfg.ignore_prefix_size :].flatten(0, 1)

"""The Eureka loss in TRL's SFTTrainer, on its fused output layer, which never holds logits ``[B, T, C]``.

    loss = EurekaTrainerLoss.from_dataset(dataset, model, column="input_ids", mask="completion_mask")
    trainer = EurekaSFTTrainer(model, args=SFTConfig(...), train_dataset=dataset, eureka=loss)

TRL's layer returns log-probabilities of the targets. They are all that the capped form needs, so its reward
is added to the SFTTrainer's loss. The paper's form uses :func:`add_fused_loss`, because ``log(1 - p)`` cannot
be computed from a log-probability that rounds to zero. Other losses, which are not cross-entropy plus a
reward, use it too.
"""

from __future__ import annotations

from typing import Any

import torch
from trl import SFTTrainer

from eureka_nlg.errors import UserError
from eureka_nlg.integrations.transformers import EurekaTrainerLoss, add_fused_loss
from eureka_nlg.integrations.transformers.trainer_loss import num_outputs

__all__ = ["EurekaSFTTrainer"]


class EurekaSFTTrainer(SFTTrainer):
    """SFTTrainer with the Eureka loss; it evaluates with plain cross-entropy.

    Args:
        eureka: the loss; None for the capped form with weight one.
        *args: as in ``SFTTrainer``.
        **kwargs: as in ``SFTTrainer``. ``loss_type`` must stay ``"nll"``, and ``compute_loss_func`` and
            ``label_smoothing_factor`` are refused.

    Raises:
        UserError: options that do not go with the loss.
    """

    def __init__(self, *args: Any, eureka: EurekaTrainerLoss | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.eureka = EurekaTrainerLoss.for_model(self.model) if eureka is None else eureka
        for option, given in (
            ("loss_type", self.args.loss_type != "nll"),
            ("label_smoothing_factor", self.args.label_smoothing_factor > 0),
            ("compute_loss_func", self.compute_loss_func is not None),
        ):
            if given:
                raise UserError(f"EurekaSFTTrainer has its own loss: leave {option} at its default")
        if self.eureka.label_smoothing and not self.eureka.needs_logits:
            raise UserError(
                "the fused layer of TRL has no label smoothing: give form='paper', or no label_smoothing"
            )
        if self.eureka.needs_logits:
            add_fused_loss(self.model, self.eureka)
        self.callback_handler.callbacks.insert(0, self.eureka.callback)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The SFTTrainer's loss, in training with the reward."""
        if not torch.is_grad_enabled():
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if self.eureka.needs_logits:
            outputs = model(**inputs, num_items_in_batch=num_items_in_batch)
            loss = outputs.loss * self._loss_scale(num_items_in_batch)
            return (loss, outputs) if return_outputs else loss
        targets = inputs["shift_labels"] if "shift_labels" in inputs else inputs["labels"][:, 1:]
        # to return outputs, the SFTTrainer runs a second pass without its fused layer; a hook sees the first
        seen: list[Any] = []
        handle = model.register_forward_hook(lambda module, inputs, outputs: seen.append(outputs))
        try:
            loss = super().compute_loss(model, inputs, False, num_items_in_batch)
        finally:
            handle.remove()
        outputs = seen[0]
        classes = num_outputs(self.accelerator.unwrap_model(model))
        reward = self.eureka.reward_of_log_probs(outputs.log_probs, targets, classes, num_items_in_batch)
        loss = loss + reward * self._loss_scale(num_items_in_batch)
        return (loss, outputs) if return_outputs else loss

    def _loss_scale(self, num_items_in_batch: Any) -> int:
        """Gradients are averaged over processes, and ``num_items_in_batch`` counts the tokens of all."""
        if num_items_in_batch is None or not self.args.average_tokens_across_devices:
            return 1
        return int(self.accelerator.num_processes // self.get_tp_size())

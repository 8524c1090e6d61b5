"""The Eureka loss in Hugging Face transformers: in the Trainer, as ``model.loss_function``, or fused.

    loss = EurekaTrainerLoss.from_dataset(dataset, model)
    trainer = loss.attach(Trainer(model, args, train_dataset=dataset))

Recipes: docs/huggingface.md.
"""

from eureka_nlg.integrations.target_counts import TargetCounts, count_targets
from eureka_nlg.integrations.transformers.fused import add_fused_loss
from eureka_nlg.integrations.transformers.model_loss import CausalLMLoss, apply_eureka
from eureka_nlg.integrations.transformers.reply_metrics import ReplyMetrics
from eureka_nlg.integrations.transformers.trainer_loss import EurekaTrainerLoss

__all__ = [
    "EurekaTrainerLoss",
    "CausalLMLoss",
    "apply_eureka",
    "add_fused_loss",
    "count_targets",
    "TargetCounts",
    "ReplyMetrics",
]

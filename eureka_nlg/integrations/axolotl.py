"""The Eureka loss in Axolotl, as a plug-in that its YAML file names.

plugins:
  - eureka_nlg.integrations.axolotl.EurekaPlugin
eureka:
  likelihood_cap: 0.75
"""

from __future__ import annotations

from typing import Any

from axolotl.integrations.base import BasePlugin
from pydantic import BaseModel

from eureka_nlg.errors import UserError
from eureka_nlg.integrations.transformers import EurekaTrainerLoss

__all__ = ["EurekaArguments", "EurekaPlugin"]


class EurekaArguments(BaseModel):
    """The options that the plug-in adds to Axolotl's YAML.

    Attributes:
        eureka: options of ``EurekaTrainerLoss.from_counts``; ``counts: false`` gives all tokens weight one.
    """

    eureka: dict[str, Any] | None = None


class EurekaPlugin(BasePlugin):
    """Counts the training targets and gives the loss to Axolotl's trainer."""

    def get_input_args(self) -> str:
        """The import path of the options' schema."""
        return f"{__name__}.EurekaArguments"

    def post_trainer_create(self, cfg: Any, trainer: Any) -> None:
        """Attach the loss.

        Raises:
            UserError: the data set is streamed, so that its targets cannot be counted before the training.
        """
        options = dict(cfg.get("eureka") or {})
        if not options.pop("counts", True):
            loss = EurekaTrainerLoss.for_model(trainer.model, **options)
        elif not hasattr(trainer.train_dataset, "__len__"):
            raise UserError("eureka: counting needs a data set that is not streamed; give `counts: false`")
        else:
            loss = EurekaTrainerLoss.from_dataset(trainer.train_dataset, trainer.model, **options)
        loss.attach(trainer)

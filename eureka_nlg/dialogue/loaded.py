"""A trained fairseq model in this process."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import torch

from eureka_nlg.dialogue.generation import Run, other_data_error
from eureka_nlg.dialogue.no_code import no_code
from eureka_nlg.dialogue.plugin import plugin_dir
from eureka_nlg.dialogue.quiet import quiet
from eureka_nlg.errors import require

__all__ = ["LoadedModel", "load_model"]


@dataclass(frozen=True)
class LoadedModel:
    """A model and what belongs to it.

    Attributes:
        model: in float32, in eval mode.
        task: fairseq's, with the dictionaries.
        criterion: name and options of the criterion that the model was trained with.
        device: where the model is.
    """

    model: Any
    task: Any
    criterion: dict[str, Any]
    device: torch.device


def load_model(run: Run, cpu: bool = False) -> LoadedModel:
    """Load a checkpoint, weights only.

    Args:
        run: checkpoint and data folder.
        cpu: run on the CPU even if there is a GPU.

    Raises:
        UserError: the dictionaries of the data folder are not those of the model.
    """
    # The vectors that the embeddings were initialised with are not needed, and may not exist any more.
    overrides = {"data": run.data, "encoder_embed_path": None, "decoder_embed_path": None}
    with quiet():
        utils = require("fairseq.utils", extra="fairseq")
        from fairseq.checkpoint_utils import load_model_ensemble_and_task

        utils.import_user_module(argparse.Namespace(user_dir=plugin_dir()))
        try:
            with no_code():
                (model,), config, task = load_model_ensemble_and_task([str(run.checkpoint)], overrides)
        except RuntimeError as error:
            known = other_data_error(run, error)
            if known is None:
                raise
            raise known from error
    device = torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")
    criterion = config.criterion
    options = dict(vars(criterion) if isinstance(criterion, argparse.Namespace) else criterion)
    return LoadedModel(model.float().eval().to(device), task, options, device)

"""Find out what a model does, by a forward pass of three tokens before the training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

__all__ = ["dummy_batch", "undisturbed"]


def dummy_batch(model: Any, labels: bool) -> dict[str, Tensor]:
    """Three tokens as the model's input, also for the decoder of an encoder-decoder."""
    size = model.config.get_text_config().vocab_size
    tokens = torch.tensor([[1 % size, 2 % size, 3 % size]], device=model.device)
    batch = {"input_ids": tokens}
    if labels:
        batch["labels"] = tokens
    elif model.config.is_encoder_decoder:
        batch["decoder_input_ids"] = tokens
    return batch


@contextmanager
def undisturbed(model: Any) -> Iterator[None]:
    """Evaluate without gradients; afterwards each module is in training or eval mode as before."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training

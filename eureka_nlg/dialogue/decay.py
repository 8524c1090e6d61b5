"""``decay_epochs`` of a config: the updates over which a learning rate falls, counted in epochs of its data.

fairseq wants ``total_num_update``, a number that is right for one corpus alone.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eureka_nlg.errors import UserError
from eureka_nlg.limits import parse_json

__all__ = ["with_total_num_update"]


def with_total_num_update(config: Mapping[str, Any]) -> dict[str, Any]:
    """Replace ``decay_epochs`` of a config by ``total_num_update``, from the size of the training data.

    An epoch has one update for ``batch_size * update_freq`` exchanges of the training split on each device,
    the last one smaller; with several data folders (``a:b``) each epoch reads the next one, as in fairseq.

    Raises:
        UserError: ``decay_epochs`` is no positive integer or stands beside ``total_num_update``, batches are
            not counted in exchanges, or a data folder does not say how many it has.
    """
    config = dict(config)
    epochs = config.pop("decay_epochs", None)
    if epochs is None:
        return config
    if not isinstance(epochs, int) or isinstance(epochs, bool) or epochs < 1:
        raise UserError(f"decay_epochs: {epochs!r}, expected a number of epochs, such as 9")
    if config.get("total_num_update") is not None:
        raise UserError("decay_epochs and total_num_update: expected one of them; decay_epochs= takes it out")
    batch_size = config.get("batch_size", config.get("max_sentences"))
    if not isinstance(batch_size, int) or batch_size < 1 or config.get("max_tokens") is not None:
        raise UserError(
            "decay_epochs: needs batches of batch_size exchanges; with max_tokens, or without batch_size, "
            "give decay_epochs= and total_num_update=UPDATES"
        )
    devices = config.get("distributed_world_size") or _num_devices()
    frequencies = config.get("update_freq") or [1]
    frequencies = frequencies if isinstance(frequencies, list) else [frequencies]
    sizes = [_num_exchanges(folder) for folder in str(config.get("data")).split(os.pathsep)]
    updates = 0
    for epoch in range(epochs):
        batches = math.ceil(math.ceil(sizes[epoch % len(sizes)] / batch_size) / devices)
        updates += math.ceil(batches / frequencies[min(epoch, len(frequencies) - 1)])
    return {**config, "total_num_update": updates}


def _num_devices() -> int:
    """Over how many GPUs fairseq spreads a training."""
    import torch  # takes seconds, and is not needed where the config says the number

    return max(1, torch.cuda.device_count())


def _num_exchanges(folder: str) -> int:
    path = Path(folder) / "manifest.json"
    try:
        return int(parse_json(path.read_text(encoding="utf-8"))["splits"]["train"]["exchanges"])
    except OSError as error:
        reason = error.strerror or "cannot be read"
    except (ValueError, KeyError, TypeError):
        reason = "does not say how many exchanges the training split has"
    raise UserError(
        f"decay_epochs: {path}: {reason}; make the folder with `eureka prepare ... --out {folder}`, or give "
        "decay_epochs= and total_num_update=UPDATES"
    )

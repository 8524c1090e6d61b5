"""``decay_epochs`` of a config: how long the learning rate falls, in epochs of the config's data.

fairseq takes the same length in updates, ``total_num_update``, which is right for one corpus only.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from eureka_nlg.errors import UserError
from eureka_nlg.files import read_json
from eureka_nlg.shapes_of_json import WHOLE, misfit

__all__ = ["with_total_num_update"]

_MOST_EPOCHS = 100_000  # they are counted one by one


def with_total_num_update(config: Mapping[str, Any]) -> dict[str, Any]:
    """Replace ``decay_epochs`` of a config by ``total_num_update``, from the size of the training data.

    An epoch has one update for every ``batch_size * update_freq`` exchanges of the training split on each
    device; the last update may have fewer. With several data folders (``a:b``) each epoch reads the next one,
    as in fairseq.

    Raises:
        UserError: ``decay_epochs`` is not a positive integer, or is given together with ``total_num_update``;
            batches are not counted in exchanges; or the manifest of a data folder lacks the number of
            exchanges.
    """
    config = dict(config)
    epochs = config.pop("decay_epochs", None)
    if epochs is None:
        return config
    if not _is_count(epochs) or epochs > _MOST_EPOCHS:
        raise UserError(
            f"decay_epochs: {epochs!r}, expected a number of epochs, such as 9, of at most {_MOST_EPOCHS:,}"
        )
    if config.get("total_num_update") is not None:
        raise UserError("decay_epochs and total_num_update: expected one of them; decay_epochs= takes it out")
    batch_size: Any = config.get("batch_size", config.get("max_sentences"))
    if not _is_count(batch_size) or config.get("max_tokens") is not None:
        raise UserError(
            "decay_epochs: needs batches of batch_size exchanges; with max_tokens, or without batch_size, "
            "give decay_epochs= and total_num_update=UPDATES"
        )
    devices = config.get("distributed_world_size") or _num_devices()
    frequencies = config.get("update_freq") or [1]
    frequencies = frequencies if isinstance(frequencies, list) else [frequencies]
    for name, values in (("distributed_world_size", [devices]), ("update_freq", frequencies)):
        if not all(map(_is_count, values)):
            raise UserError(f"{name}: {config[name]!r}, expected whole numbers from 1 on")
    sizes = [_num_exchanges(folder) for folder in str(config.get("data")).split(os.pathsep)]
    updates = 0
    for epoch in range(epochs):
        batches = math.ceil(math.ceil(sizes[epoch % len(sizes)] / batch_size) / devices)
        updates += math.ceil(batches / frequencies[min(epoch, len(frequencies) - 1)])
    return {**config, "total_num_update": updates}


def _num_devices() -> int:
    """The number of GPUs that fairseq trains on by default."""
    import torch  # takes seconds, and is not needed where the config says the number

    return max(1, torch.cuda.device_count())


def _num_exchanges(folder: str) -> int:
    path = Path(folder) / "manifest.json"
    try:
        manifest = read_json(path)
        if wrong := misfit(manifest, {"splits": {"train": {"exchanges": WHOLE}}}):
            raise UserError(f"{path}: does not say how many exchanges the training split has: {wrong}")
    except UserError as error:
        raise UserError(
            f"decay_epochs: {error}; make the folder with `eureka prepare ... --out {folder}`, or give "
            "decay_epochs= and total_num_update=UPDATES"
        ) from error
    return int(manifest["splits"]["train"]["exchanges"])


def _is_count(value: Any) -> TypeGuard[int]:
    return type(value) is int and value >= 1

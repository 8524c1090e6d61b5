"""The first stage that a second stage starts from: its check before images are read, and its loading."""

from __future__ import annotations

from pathlib import Path

from eureka_nlg.errors import UserError
from eureka_nlg.vision.classification.config import Config
from eureka_nlg.vision.classification.methods.options import Method
from eureka_nlg.vision.classification.models import Network
from eureka_nlg.vision.config_file import config_from_dict
from eureka_nlg.vision.training.checkpoint import load_checkpoint

__all__ = ["check_first_stage", "first_stage"]

_FIRST_STAGES: tuple[Method, ...] = ("plain", "mbj", "crt")
"""Methods whose network consists of a backbone and one classifier."""


def check_first_stage(config: Config) -> None:
    """Check whether ``init_from`` can be the first stage of a config, before images are decoded.

    Raises:
        UserError: there is no checkpoint, or it has another network or method.
    """
    path = Path(str(config.init_from))
    first = config_from_dict(Config, load_checkpoint(path)["config"], f"checkpoint {path}")
    if first.method not in _FIRST_STAGES:
        raise UserError(
            f"init_from {path}: is of a run of method {first.method}, whose network is another one; expected "
            f"one of method {', '.join(_FIRST_STAGES[:-1])} or {_FIRST_STAGES[-1]}"
        )
    if first.model.name != config.model.name:
        raise UserError(
            f"init_from {path}: is of model.name {first.model.name}, but this run is of {config.model.name}: "
            "give the checkpoint of a first stage of the same network"
        )


def first_stage(config: Config, num_classes: int, *, load: bool, classifier: bool = True) -> Network:
    """The network of the first stage.

    Args:
        config: options of the second stage.
        num_classes: C.
        load: whether to load the weights of ``config.init_from``; not needed if a checkpoint of the second
            stage is loaded afterwards.
        classifier: whether to load its classifier, too, which then has to be of the config's kind; otherwise
            the classifier is a new one.

    Raises:
        UserError: the first stage does not fit.
    """
    network = Network(config.model, num_classes, config.cosine_scale)
    if not load:
        return network
    weights = load_checkpoint(Path(str(config.init_from)))["network"]
    if not classifier:
        own = {f"classifier.{name}": value for name, value in network.classifier.state_dict().items()}
        weights = {k: v for k, v in weights.items() if not k.startswith("classifier.")} | own
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(
            f"init_from {config.init_from}: does not fit model {config.model.name} with {num_classes} "
            f"classes ({'cosine' if config.uses_cosine_head else 'linear'} head, see model.head): {reason}"
        ) from error
    return network

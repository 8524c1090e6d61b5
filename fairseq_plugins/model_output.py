"""The output of a fairseq model: its logits, or its last linear layer and the input of that layer.

Only this file deals with wrappers of models, kinds of output layers, and outputs that are not a plain
softmax.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fairseq.models import BaseFairseqModel, FairseqDecoder
from fairseq.models.lstm import LSTMDecoder
from fairseq.models.transformer import TransformerDecoderBase, TransformerModelBase
from torch import Tensor, nn

from eureka_nlg.errors import UserError

__all__ = ["features_for", "logits_of", "output_layer_of", "refuse_adaptive_softmax", "unwrapped"]

_SOFTMAX_OF_THE_OUTPUT = (BaseFairseqModel.get_normalized_probs, TransformerModelBase.get_normalized_probs)


def logits_of(model: Any, net_output: Any) -> Tensor:
    """Logits of the model's output ``[B, T, C]``, up to a constant per row, which does not affect the losses.

    If a model's likelihoods are not the softmax of its output (as in pointer networks), its log-likelihoods
    are used instead. They are equivalent and cost one more pass.

    Raises:
        UserError: the model uses an adaptive softmax.
    """
    refuse_adaptive_softmax(model)
    if has_plain_softmax(model):
        return net_output[0]
    return unwrapped(model).get_normalized_probs(net_output, log_probs=True)


def has_plain_softmax(model: Any) -> bool:
    """Whether the model's likelihoods are the softmax of its output."""
    model = unwrapped(model)
    decoder = getattr(model, "decoder", model)
    return type(model).get_normalized_probs in _SOFTMAX_OF_THE_OUTPUT and (
        not isinstance(decoder, FairseqDecoder)
        or (
            type(decoder).get_normalized_probs is FairseqDecoder.get_normalized_probs
            and type(decoder).get_normalized_probs_scriptable
            is FairseqDecoder.get_normalized_probs_scriptable
        )
    )


def refuse_adaptive_softmax(model: Any) -> None:
    """Raise UserError if the model uses an adaptive softmax."""
    model = unwrapped(model)
    if getattr(getattr(model, "decoder", model), "adaptive_softmax", None) is not None:
        raise UserError(
            "this criterion needs the logits of all classes, which an adaptive softmax does not compute: "
            "train without --adaptive-softmax-cutoff, or with --criterion adaptive_loss"
        )


def unwrapped(model: Any) -> Any:
    """The model itself; with several processes, it is wrapped once or twice."""
    while not isinstance(model, BaseFairseqModel) and hasattr(model, "module"):
        model = model.module
    return model


def output_layer_of(model: Any) -> tuple[Tensor, Tensor | None]:
    """Weight ``[C, H]`` and bias ``[C]`` (or None) of the decoder's last linear layer.

    Raises:
        UserError: there is no such layer, or it is more than a linear map; the message says which.
    """
    model = unwrapped(model)
    decoder = getattr(model, "decoder", model)
    if not has_plain_softmax(model):
        raise UserError(
            f"--fused-linear cannot serve {type(model).__name__}, whose likelihoods are not the softmax of "
            "its output layer: train without it"
        )
    for kind in (LSTMDecoder, TransformerDecoderBase):
        if isinstance(decoder, kind):
            if type(decoder).output_layer is kind.output_layer and type(decoder).forward is kind.forward:
                break
            raise UserError(
                f"--fused-linear cannot serve {type(decoder).__name__}, which has a forward or output_layer "
                f"of its own besides those of {kind.__name__}: train without it"
            )
    else:
        raise UserError(
            f"--fused-linear knows the output layers of fairseq's LSTM and transformer decoders, not that of "
            f"{type(decoder).__name__}: train without it"
        )
    if isinstance(decoder, LSTMDecoder):
        if decoder.share_input_output_embed:
            return decoder.embed_tokens.weight, None
        layer = decoder.fc_out
    else:
        layer = decoder.output_projection
    if type(layer) is not nn.Linear:
        raise UserError(
            f"--fused-linear needs a plain linear output layer, got {type(layer).__name__}: train without it"
        )
    return layer.weight, layer.bias


@contextmanager
def features_for(model: Any) -> Iterator[None]:
    """Context in which the decoder returns the input of its output layer instead of the logits."""
    model = unwrapped(model)
    decoder = getattr(model, "decoder", model)
    decoder.output_layer = _unchanged  # on this object only; the class is not changed
    try:
        yield
    finally:
        del decoder.output_layer


def _unchanged(features: Tensor) -> Tensor:
    return features

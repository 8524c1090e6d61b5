"""What comes out of a fairseq model: its logits, or its last linear layer and what goes into it.

This alone knows of wrappers around a model, of output layers, and of softmaxes that are none.
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
    """Logits of the model's output ``[B, T, C]``, up to a constant in each row that no loss here sees.

    Models whose likelihoods are not the softmax of their output (pointer networks, say) are asked for their
    log-likelihoods, which serve as well and cost one more pass.

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
    """The model itself: with several processes it is wrapped, twice even."""
    while not isinstance(model, BaseFairseqModel) and hasattr(model, "module"):
        model = model.module
    return model


def output_layer_of(model: Any) -> tuple[Tensor, Tensor | None]:
    """Weight ``[C, H]`` and bias ``[C]`` (or None) of the linear layer that ends the decoder's work.

    Raises:
        UserError: there is no such layer, or more than a linear map happens there; the message says which.
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
    """While this lasts, the decoder returns what goes into its output layer instead of the logits."""
    model = unwrapped(model)
    decoder = getattr(model, "decoder", model)
    decoder.output_layer = _unchanged  # on this object alone; its class keeps its method
    try:
        yield
    finally:
        del decoder.output_layer


def _unchanged(features: Tensor) -> Tensor:
    return features

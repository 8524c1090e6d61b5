"""The decoder's last linear layer, for criterions that compute it together with the loss."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fairseq.models.lstm import LSTMDecoder
from fairseq.models.transformer import TransformerDecoderBase
from torch import Tensor, nn

from eureka_nlg.errors import UserError

__all__ = ["features_for", "output_layer_of"]


def output_layer_of(model: Any, has_plain_softmax: bool = True) -> tuple[Tensor, Tensor | None]:
    """Weight ``[C, H]`` and bias ``[C]`` (or None) of the linear layer that ends the decoder's work.

    Args:
        model: the model itself, not a wrapper for several processes.
        has_plain_softmax: whether its likelihoods are the softmax of that layer's output.

    Raises:
        UserError: there is no such layer, or more than a linear map happens there; the message says which.
    """
    decoder = getattr(model, "decoder", model)
    if not has_plain_softmax:
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
    decoder = getattr(model, "decoder", model)
    decoder.output_layer = _unchanged  # on this object alone; its class keeps its method
    try:
        yield
    finally:
        del decoder.output_layer


def _unchanged(features: Tensor) -> Tensor:
    return features

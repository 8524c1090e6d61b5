"""The paper's dialogue model: a two-layer LSTM encoder-decoder with one embedding table for both sides."""

from __future__ import annotations

import argparse
from typing import Any

from fairseq import utils
from fairseq.models import register_model, register_model_architecture
from fairseq.models.lstm import LSTMModel, base_architecture

from eureka_nlg.errors import UserError

__all__ = ["LSTMDialogueModel", "lstm_convai2"]


@register_model("lstm_dialogue")
class LSTMDialogueModel(LSTMModel):
    """fairseq's LSTM model, whose encoder and decoder can share their input embeddings alone.

    fairseq's ``--share-all-embeddings`` ties the output layer as well, which the baseline does not.
    """

    @staticmethod
    def add_args(parser: argparse.ArgumentParser) -> None:
        """Add fairseq's options of the LSTM model, and the sharing of the input embeddings."""
        LSTMModel.add_args(parser)
        parser.add_argument(
            "--share-input-embeddings",
            type=str,
            metavar="BOOL",
            help="share the embedding table of encoder and decoder input (requires a joined dictionary)",
        )

    @classmethod
    def build_model(cls, args: argparse.Namespace, task: Any) -> LSTMDialogueModel:
        """Build the model.

        Raises:
            UserError: embeddings to share that do not fit.
        """
        lstm_convai2(args)
        shared = utils.eval_bool(args.share_input_embeddings)
        if shared and task.source_dictionary != task.target_dictionary:
            raise UserError(
                "--share-input-embeddings needs one dictionary for both sides: prepare the data with a "
                "joined dictionary, or give --share-input-embeddings 0"
            )
        if shared and args.encoder_embed_dim != args.decoder_embed_dim:
            raise UserError(
                "--share-input-embeddings needs equal widths, got --encoder-embed-dim "
                f"{args.encoder_embed_dim} and --decoder-embed-dim {args.decoder_embed_dim}: make them "
                "equal, or give --share-input-embeddings 0"
            )
        if shared and args.decoder_embed_path not in (None, args.encoder_embed_path):
            raise UserError(
                f"--decoder-embed-path {args.decoder_embed_path}: the encoder's table serves both sides: "
                "give the file as --encoder-embed-path, or give --share-input-embeddings 0"
            )
        model = super().build_model(args, task)
        if shared:
            model.decoder.embed_tokens = model.encoder.embed_tokens
        return model


@register_model_architecture("lstm_dialogue", "lstm_convai2")
def lstm_convai2(args: argparse.Namespace) -> None:
    """Size of the paper (appendix C.2) and, where it is silent, of the public baseline (notes, section 5)."""
    args.dropout = getattr(args, "dropout", 0.1)
    args.encoder_embed_dim = getattr(args, "encoder_embed_dim", 256)
    args.encoder_hidden_size = getattr(args, "encoder_hidden_size", 1024)
    args.encoder_layers = getattr(args, "encoder_layers", 2)
    args.decoder_embed_dim = getattr(args, "decoder_embed_dim", args.encoder_embed_dim)
    args.decoder_hidden_size = getattr(args, "decoder_hidden_size", args.encoder_hidden_size)
    args.decoder_layers = getattr(args, "decoder_layers", args.encoder_layers)
    args.decoder_out_embed_dim = getattr(args, "decoder_out_embed_dim", args.decoder_embed_dim)
    args.decoder_attention = getattr(args, "decoder_attention", "1")  # Luong's "general"
    args.share_input_embeddings = getattr(args, "share_input_embeddings", "1")
    base_architecture(args)

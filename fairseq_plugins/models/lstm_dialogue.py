"""The paper's dialogue model: a two-layer LSTM encoder-decoder with one embedding table for both sides."""

from __future__ import annotations

import argparse
from typing import Any

from fairseq import utils
from fairseq.models import register_model, register_model_architecture
from fairseq.models.lstm import LSTMDecoder, LSTMEncoder, LSTMModel, base_architecture

from eureka_nlg.errors import UserError
from fairseq_plugins.decoding.generator import ReplyGenerator
from fairseq_plugins.models.layers import with_kernels
from fairseq_plugins.models.parallel_decoder import ParallelLSTMDecoder
from fairseq_plugins.models.residual_encoder import ResidualLSTMEncoder

__all__ = ["LSTMDialogueModel", "lstm_convai2"]


@register_model("lstm_dialogue")
class LSTMDialogueModel(LSTMModel):
    """fairseq's LSTM model as in the paper's baseline: embeddings shared by both sides, no input feeding.

    With fairseq's own options this is not possible: ``--share-all-embeddings`` also ties the output layer,
    and its decoder always feeds the attentional state into the LSTM at the next word.

    Attributes:
        search_class: fairseq's generator for this model, as ``--task dialogue`` builds it.
    """

    search_class = ReplyGenerator

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
        parser.add_argument(
            "--input-feeding",
            type=str,
            metavar="BOOL",
            help="feed the attentional state into the LSTM at the next word, as fairseq's lstm does; without "
            "it, all words of a target are computed together, in three quarters of the time",
        )
        parser.add_argument(
            "--encoder-residual",
            type=str,
            metavar="BOOL",
            help="add the embeddings of the context's words to the encoder's states, so that attention can "
            "copy words; embeddings and states need equal widths",
        )

    @classmethod
    def build_model(cls, args: argparse.Namespace, task: Any) -> LSTMDialogueModel:
        """Build the model.

        Raises:
            UserError: options of the embeddings or of attention do not fit together.
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
        if utils.eval_bool(args.encoder_residual):
            model.encoder = _residual_encoder(args, model.encoder)
        if not utils.eval_bool(args.input_feeding):
            model.decoder = _parallel_decoder(args, model.encoder, model.decoder)
        if shared:
            model.decoder.embed_tokens = model.encoder.embed_tokens
        with_kernels(model)
        return model


def _residual_encoder(args: argparse.Namespace, encoder: LSTMEncoder) -> ResidualLSTMEncoder:
    """A copy of fairseq's encoder that adds its embeddings to its states."""
    if encoder.output_units != args.encoder_embed_dim:
        raise UserError(
            "--encoder-residual adds embeddings to states, which needs equal widths, got --encoder-embed-dim "
            f"{args.encoder_embed_dim} and states of {encoder.output_units}: change one, or give "
            "--encoder-residual 0"
        )
    return ResidualLSTMEncoder(
        encoder.dictionary,
        embed_dim=args.encoder_embed_dim,
        hidden_size=args.encoder_hidden_size,
        num_layers=args.encoder_layers,
        dropout_in=args.encoder_dropout_in,
        dropout_out=args.encoder_dropout_out,
        bidirectional=args.encoder_bidirectional,
        left_pad=encoder.left_pad,
        pretrained_embed=encoder.embed_tokens,
        max_source_positions=encoder.max_source_positions,
    )


def _parallel_decoder(
    args: argparse.Namespace, encoder: LSTMEncoder, decoder: LSTMDecoder
) -> ParallelLSTMDecoder:
    """A decoder without input feeding, with the options and embeddings of fairseq's decoder."""
    if decoder.attention is None:
        raise UserError(
            "--decoder-attention 0: the decoder without input feeding needs attention; give --input-feeding 1"
        )
    return ParallelLSTMDecoder(
        decoder.dictionary,
        embed_dim=args.decoder_embed_dim,
        hidden_size=args.decoder_hidden_size,
        out_embed_dim=args.decoder_out_embed_dim,
        num_layers=args.decoder_layers,
        dropout_in=args.decoder_dropout_in,
        dropout_out=args.decoder_dropout_out,
        encoder_output_units=encoder.output_units,
        pretrained_embed=decoder.embed_tokens,
        share_input_output_embed=args.share_decoder_input_output_embed,
        adaptive_softmax_cutoff=(
            utils.eval_str_list(args.adaptive_softmax_cutoff, type=int)
            if decoder.adaptive_softmax is not None
            else None
        ),
        max_target_positions=decoder.max_target_positions,
    )


@register_model_architecture("lstm_dialogue", "lstm_convai2")
def lstm_convai2(args: argparse.Namespace) -> None:
    """The sizes of the paper (appendix C.2); for the rest, those of ParlAI's seq2seq baseline for ConvAI2."""
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
    args.input_feeding = getattr(args, "input_feeding", "0")
    args.encoder_residual = getattr(args, "encoder_residual", "0")
    base_architecture(args)
    if args.share_all_embeddings:  # fairseq's build_model sets it later, but --branch-from compares options
        args.share_decoder_input_output_embed = True

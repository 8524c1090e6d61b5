"""Tiny models built from configs, and batches for them: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

transformers = pytest.importorskip("transformers")

VOCABULARY = 48


def _llama(**options: Any) -> Any:
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=32,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        **options,
    )
    return transformers.LlamaForCausalLM(config)


def _small(name: str, **options: Any) -> Any:
    config = getattr(transformers, f"{name}Config")(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        **options,
    )
    return getattr(transformers, f"{name}ForCausalLM")(config)


def _gpt2() -> Any:
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=16,
        n_layer=1,
        n_head=2,
        n_positions=32,
        bos_token_id=1,
        eos_token_id=2,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    return transformers.GPT2LMHeadModel(config)


def _t5() -> Any:
    config = transformers.T5Config(
        vocab_size=VOCABULARY,
        d_model=16,
        d_kv=8,
        d_ff=24,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
        dropout_rate=0.0,
    )
    return transformers.T5ForConditionalGeneration(config)


def _bart() -> Any:
    config = transformers.BartConfig(
        vocab_size=VOCABULARY,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        max_position_embeddings=32,
        dropout=0.0,
    )
    return transformers.BartForConditionalGeneration(config)


def _mixtral() -> Any:
    return _small(
        "Mixtral",
        num_local_experts=2,
        num_experts_per_tok=1,
        output_router_logits=True,
        router_aux_loss_coef=0.5,
    )


MODELS: dict[str, Callable[[], Any]] = {
    "llama": _llama,
    "llama_tied": lambda: _llama(tie_word_embeddings=True),
    "gpt2": _gpt2,
    "cohere": lambda: _small("Cohere", logit_scale=0.3),
    "granite": lambda: _small("Granite", logits_scaling=7.0),
    "gemma2": lambda: _small("Gemma2", final_logit_softcapping=30.0),
    "mixtral": _mixtral,
    "t5": _t5,
    "bart": _bart,
}


@pytest.fixture
def make_model() -> Callable[..., Any]:
    """Name -> a tiny model, the same weights every time."""

    def make(name: str = "llama") -> Any:
        torch.manual_seed(1)
        model = MODELS[name]()
        with torch.no_grad():  # weights so large that likelihoods differ
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.mul_(6.0 if parameter.std() < 0.1 else 1.0)
        return model.train()

    return make


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    """Eight rows of unequal numbers of targets; a prompt without loss, padding at the end."""
    generator = torch.Generator().manual_seed(2)
    tokens = torch.randint(3, VOCABULARY, (8, 12), generator=generator)
    lengths = torch.tensor([12, 5, 9, 12, 4, 7, 11, 6])
    attended = torch.arange(12) < lengths[:, None]
    labels = tokens.where(attended & (torch.arange(12) >= 2), -100)
    return {"input_ids": tokens.where(attended, 0), "attention_mask": attended.long(), "labels": labels}


@pytest.fixture
def counts() -> torch.Tensor:
    """Training counts of the tokens; some never occur."""
    counts = torch.arange(VOCABULARY, 0, -1) ** 2
    counts[3:] = counts[3:].clamp(min=1)
    return counts

"""A model in a GGUF file, whose weights are quantised, is trained in float32 and saved as safetensors."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")
gguf = pytest.importorskip("gguf")

from tiny_model import write_conversations  # noqa: E402

from eureka_nlg.cli.main import main  # noqa: E402
from eureka_nlg.finetune.model import load_pretrained  # noqa: E402

HIDDEN, INNER, HEADS = 64, 96, 2
LETTERS = [chr(code) for code in range(ord("!"), ord("~") + 1)]
TOKENS = ["<|im_start|>", "<|im_end|>", "Ġ", "Ċ", *LETTERS, "hi", "hi!"]


def write_gguf(path: Path) -> dict[str, np.ndarray]:
    """A llama of one layer and a tokenizer of characters; returns the weights as a reader gets them."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    writer.add_token_types([gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.NORMAL] * (len(TOKENS) - 2))
    writer.add_token_merges(["h i", "hi !"])  # two: transformers 5.12 reads a single one as letters
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    random = np.random.default_rng(1)
    shapes = {
        "token_embd": (len(TOKENS), HIDDEN),
        "output": (len(TOKENS), HIDDEN),
        "blk.0.ffn_gate": (INNER, HIDDEN),
        "blk.0.ffn_up": (INNER, HIDDEN),
        "blk.0.ffn_down": (HIDDEN, INNER),
        **{f"blk.0.attn_{name}": (HIDDEN, HIDDEN) for name in ("q", "k", "v", "output")},
    }
    known = {}
    for name, shape in shapes.items():
        kind = gguf.GGMLQuantizationType.Q4_1
        packed = gguf.quants.quantize(random.normal(size=shape, scale=0.1).astype(np.float32), kind)
        known[name] = gguf.quants.dequantize(packed, kind)
        writer.add_tensor(f"{name}.weight", packed, raw_dtype=kind)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(HIDDEN, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return known


def test_transformers_finds_its_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where it finds no distribution, as transformers 5.0 on Python 3.10, it looks for this attribute."""
    monkeypatch.delattr(gguf, "__version__", raising=False)
    write_gguf(tmp_path / "tiny.Q4_1.gguf")
    assert load_pretrained(str(tmp_path), "tiny.Q4_1.gguf")[0].config.hidden_size == HIDDEN
    assert gguf.__version__ == version("gguf")


def test_it_is_trained_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    known = write_gguf(tmp_path / "model" / "tiny.Q4_1.gguf")
    model, _ = load_pretrained(str(tmp_path / "model"), "tiny.Q4_1.gguf")
    np.testing.assert_allclose(
        model.model.layers[0].mlp.up_proj.weight.detach().numpy(), known["blk.0.ffn_up"]
    )
    np.testing.assert_allclose(model.get_input_embeddings().weight.detach().numpy(), known["token_embd"])
    assert all(
        type(module) is torch.nn.Linear for module in model.modules() if isinstance(module, torch.nn.Linear)
    )
    data = write_conversations(tmp_path / "data", [("hello", "hi")] * 4, ("train", "test"))
    config = tmp_path / "config.yaml"
    config.write_text(
        f"model: {tmp_path / 'model'}\ngguf_file: tiny.Q4_1.gguf\ndata: {data}\n"
        f"output_dir: {tmp_path / 'run'}\n"
        "max_steps: 2\nlearning_rate: 1e-2\nreport_to: none\nuse_cpu: true\ndisable_tqdm: true\n"
        "decode_split: test\nmax_new_tokens: 3\n"
    )
    assert main(["finetune", str(config)]) == 0
    assert len((tmp_path / "run" / "replies.test.txt").read_text().splitlines()) == 4
    trained, _ = load_pretrained(str(tmp_path / "run"), use_safetensors=True)
    assert trained.num_parameters() == model.num_parameters()
    assert not torch.equal(trained.lm_head.weight, model.lm_head.weight)

"""Prompts that begin with one another give the replies that each gives alone."""

from __future__ import annotations

import pytest
import torch

transformers = pytest.importorskip("transformers")

from tiny_model import WORDS, make_tokenizer  # noqa: E402

from eureka_nlg.finetune import talker as talker_module  # noqa: E402
from eureka_nlg.finetune.model import LoadedModel  # noqa: E402
from eureka_nlg.finetune.shared_prompts import chains  # noqa: E402
from eureka_nlg.finetune.talker import TransformersTalker  # noqa: E402

SAID = [*WORDS[:9], *WORDS[8::-1], "there"]


def make_talker(kind: str) -> TransformersTalker:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    shared = {"vocab_size": len(tokenizer), "eos_token_id": None, "bos_token_id": None, "pad_token_id": 0}
    shared["tie_word_embeddings"] = False
    torch.manual_seed(3)
    if kind == "gpt2":
        config = transformers.GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=128, **shared)
        model = transformers.GPT2LMHeadModel(config)
    else:
        config = transformers.MistralConfig(
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            sliding_window=4 if kind == "sliding" else None,
            **shared,
        )
        model = transformers.MistralForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8.0)
    model.generation_config = transformers.GenerationConfig(pad_token_id=0)
    return TransformersTalker(LoadedModel(model.eval(), tokenizer, 128, 128))


@pytest.mark.parametrize("most_tokens", [2000, 40])
@pytest.mark.parametrize("kind", ["mistral", "gpt2", "sliding"])
def test_replies_are_those_of_each_prompt_alone(kind, most_tokens, monkeypatch):
    monkeypatch.setattr(talker_module, "_TOKENS_AT_ONCE", most_tokens)
    conversations = [
        [{"role": "user", "content": word} for word in SAID[start:end]]
        for start in (0, 5, 9)
        for end in range(start + 1, start + 10, 3)
    ]
    talker = make_talker(kind)
    options = {"max_new_tokens": 6, "do_sample": False, "num_beams": 1}
    tokens = []
    embeddings = talker.loaded.model.get_input_embeddings()
    handle = embeddings.register_forward_hook(lambda module, inputs, output: tokens.append(inputs[0].numel()))
    together = talker.replies(conversations, **options)
    handle.remove()
    alone = [talker.replies([each], **options)[0] for each in conversations]
    assert [reply for ((reply, _),) in together] == [reply for ((reply, _),) in alone]
    assert len({reply for ((reply, _),) in alone}) > 3
    padded = sum(max(len(talker.prompt(each, 6)) for each in conversations[k : k + 4]) * 4 for k in (0, 4, 8))
    assert talker._can_share == (kind != "sliding")
    if kind != "sliding":
        assert sum(tokens) < padded + len(conversations) * 6


def test_chains():
    prompts = [[1], [5, 6, 7], [1, 2, 3], [1, 2], [1, 2, 4], [5, 6, 7], []]
    found = chains(prompts, 1000)
    assert sorted(index for chain in found for index in chain) == list(range(len(prompts)))
    assert [[prompts[index] for index in chain] for chain in found] == [
        [[5, 6, 7], [5, 6, 7]],
        [[1, 2, 4]],
        [[], [1], [1, 2], [1, 2, 3]],
    ]
    assert [len(chain) for chain in chains([[1] * length for length in (9, 8, 7, 6)], 18)] == [2, 2]

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
    assert talker._keeps_all == (kind != "sliding")
    if kind != "sliding":
        assert sum(tokens) < padded + len(conversations) * 6


@pytest.mark.parametrize("kind", ["mistral", "sliding"])
@pytest.mark.parametrize("options", [{}, {"repetition_penalty": 1.5, "min_new_tokens": 3}])
def test_rows_that_have_ended_are_left_out(kind, options):
    talker = make_talker(kind)
    model = talker.loaded.model
    conversations = [
        [{"role": "user", "content": word} for word in SAID[start : start + 5]] for start in range(12)
    ]
    options = {"max_new_tokens": 40, "do_sample": False, "num_beams": 1, **options}
    # an end that some replies come to soon, and others late or never
    endless = [talker.replies([each], **options)[0][0][0].split() for each in conversations]
    words = {word for reply in endless for word in reply}
    length = {word: [reply.index(word) if word in reply else 40 for reply in endless] for word in words}
    end = max(words, key=lambda word: len(set(length[word])))
    assert max(length[end]) > 16
    assert min(length[end]) < 16
    model.generation_config.eos_token_id = [1, talker.loaded.tokenizer.convert_tokens_to_ids(end)]
    alone = [talker.replies([each], **options)[0][0][0] for each in conversations]
    rows = []
    handle = model.get_input_embeddings().register_forward_hook(
        lambda module, inputs, output: rows.append(len(inputs[0]))
    )
    together = [each[0][0] for each in talker.replies(conversations, **options)]
    handle.remove()
    assert together == alone
    assert (rows[-1] < 12) == (kind != "sliding")


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

"""The output layer and the loss in one: what it refuses, what it leaves alone, what it costs."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

transformers = pytest.importorskip("transformers")

from eureka_nlg.errors import UserError  # noqa: E402
from eureka_nlg.integrations.transformers import EurekaTrainerLoss, add_fused_loss, apply_eureka  # noqa: E402


def fused(model, **options):
    return add_fused_loss(model, EurekaTrainerLoss.for_model(model), **options)


def test_soft_capping_is_refused(make_model):
    model = make_model("gemma2")
    with pytest.raises(UserError, match="soft capping at 30"):
        fused(model)
    assert "forward" not in model.__dict__
    apply_eureka(model, EurekaTrainerLoss.for_model(model))  # which does not mind


@pytest.mark.parametrize(("name", "factor"), [("cohere", 0.3), ("granite", 1 / 7.0), ("llama", 1.0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_factor_of_the_logits_has_all_its_digits(name, factor, dtype, make_model):
    from eureka_nlg.integrations.transformers.fused import _logit_scale

    model = make_model(name).to(dtype)
    assert _logit_scale(model, model.lm_head) == factor


def test_a_bias_after_the_layer_is_refused_unless_zero(make_model):
    model = make_model("bart")
    model.final_logits_bias += 0.5
    with pytest.raises(UserError, match="more than a factor"):
        fused(model)


def test_a_second_one_is_refused(make_model):
    with pytest.raises(UserError, match="already"):
        fused(fused(make_model()))


def test_an_output_layer_that_is_no_linear_one_is_refused(make_model):
    class Odd(nn.Linear):
        def forward(self, input):
            return super().forward(input).tanh()

    model = make_model()
    model.lm_head = Odd(16, 48, bias=False)
    with pytest.raises(UserError, match="is a Odd"):
        fused(model)


def test_labels_given_by_position_are_seen(make_model, batch):
    model = fused(make_model())
    expected = model(**batch).loss
    found = model(batch["input_ids"], batch["attention_mask"], None, None, None, batch["labels"])
    torch.testing.assert_close(found.loss, expected)
    assert found.logits is None


def test_without_labels_and_in_generation_nothing_changes(make_model, batch):
    model = make_model().eval()
    inputs = {"input_ids": batch["input_ids"][:1, :4]}
    expected = model(**inputs).logits
    replies = model.generate(**inputs, max_new_tokens=6, do_sample=False)
    fused(model)
    assert torch.equal(model(**inputs).logits, expected)
    assert torch.equal(model.generate(**inputs, max_new_tokens=6, do_sample=False), replies)
    with pytest.raises(ValueError, match="nonsense"):
        model.generate(**inputs, max_new_tokens=2, nonsense=1)


def test_evaluation_may_keep_its_logits(make_model, batch):
    model = make_model().eval()
    expected = model(**batch)
    fused(model, logits_in_evaluation=True)
    found = model(**batch)
    torch.testing.assert_close(found.logits, expected.logits)
    torch.testing.assert_close(found.loss, expected.loss)
    assert model.train()(**batch).logits is None


def test_an_output_layer_of_another_size_is_followed(make_model, batch):
    model = fused(make_model())
    model.resize_token_embeddings(60)
    expected = copy.deepcopy(model)
    del expected.__dict__["forward"]
    expected = expected.eval()(**batch).loss
    torch.testing.assert_close(model.eval()(**batch).loss, expected)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("way", [False, True])
def test_autocast_and_gradient_checkpointing(checkpointing, way, make_model, batch):
    def gradient(model):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(**batch).loss
        loss.backward()
        return loss.detach(), model.lm_head.weight.grad.clone()

    loss = EurekaTrainerLoss(shift=True)
    plain = apply_eureka(make_model(), loss)
    expected, expected_gradient = gradient(plain)
    model = apply_eureka(make_model(), loss, fused=way)
    if checkpointing:
        model.gradient_checkpointing_enable()
    found, found_gradient = gradient(model)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found_gradient, expected_gradient, rtol=2e-2, atol=2e-3)


def test_compiled(make_model, batch):
    loss = EurekaTrainerLoss(shift=True)
    for way in (False, True):
        model = apply_eureka(make_model(), loss, fused=way)
        expected = model(**batch).loss
        found = torch.compile(model, backend="eager")(**batch).loss
        torch.testing.assert_close(found, expected)


def test_lora(make_model, batch):
    peft = pytest.importorskip("peft")
    losses = []
    for order in ("plain", "before", "after"):
        torch.manual_seed(3)
        model = make_model()
        loss = EurekaTrainerLoss(shift=True)
        if order == "before":
            add_fused_loss(model, loss)
        config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        model = peft.get_peft_model(model, config)
        if order == "after":
            add_fused_loss(model, loss)
        if order == "plain":
            apply_eureka(model, loss)
        found = model(**batch).loss
        found.backward()
        trained = [p.grad for p in model.parameters() if p.requires_grad]
        assert all(gradient is not None and gradient.any() for gradient in trained)
        assert model.get_base_model().lm_head.weight.grad is None
        losses.append(found.item())
    assert losses[1:] == pytest.approx([losses[0]] * 2, rel=1e-6)


@pytest.mark.parametrize("adapted", [{"target_modules": ["lm_head"]}, {"modules_to_save": ["lm_head"]}])
def test_adapters_on_the_output_layer_are_refused_whenever_they_come(adapted, make_model, batch):
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(**({"target_modules": ["q_proj"]} | adapted))
    with pytest.raises(UserError, match="PEFT adapts the output layer"):
        fused(peft.get_peft_model(make_model(), config))
    model = peft.get_peft_model(fused(make_model()), config)
    with pytest.raises(UserError, match="PEFT adapts the output layer"):
        model(**batch)


def test_prompt_tuning(make_model, batch):
    peft = pytest.importorskip("peft")
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    found = []
    for way in (False, True):
        torch.manual_seed(4)
        model = apply_eureka(make_model(), EurekaTrainerLoss(shift=True), fused=way)
        found.append(peft.get_peft_model(model, config)(**batch).loss.item())
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_labels_that_are_too_few_are_noticed(make_model, batch):
    model = fused(make_model())
    with pytest.raises(UserError, match="one position for each label"):
        model(**{**batch, "labels": batch["labels"][:, :-1]})
    assert model.eval()(batch["input_ids"]).logits.shape == (8, 12, 48)  # nothing of it is left


class _LargestStorage(TorchDispatchMode):
    """Remembers the most memory that a result of an operation took."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else [result]:
            if isinstance(value, torch.Tensor):
                self.bytes = max(self.bytes, value.untyped_storage().nbytes())
        return result


def test_no_tensor_is_as_large_as_the_logits():
    config = transformers.LlamaConfig(
        vocab_size=30_000, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
    )
    model = transformers.LlamaForCausalLM(config)
    tokens = torch.randint(3, 48, (8, 50))
    logits = tokens.numel() * config.vocab_size * 4
    for way in (False, True):
        if way:
            fused(model)
        with _LargestStorage() as seen:
            model(input_ids=tokens, labels=tokens).loss.backward()
        assert (seen.bytes < 0.75 * logits) == way

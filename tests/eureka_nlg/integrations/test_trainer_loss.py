"""The loss for ``compute_loss_func`` and for ``model.loss_function``, against the formula and transformers'
own."""

from __future__ import annotations

import copy
import pickle
import warnings
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

transformers = pytest.importorskip("transformers")

from transformers.loss.loss_utils import ForCausalLMLoss  # noqa: E402

from eureka_nlg.errors import UserError  # noqa: E402
from eureka_nlg.frequency import encouragement  # noqa: E402
from eureka_nlg.integrations.transformers import (  # noqa: E402
    CausalLMLoss,
    EurekaTrainerLoss,
    add_fused_loss,
    apply_eureka,
)
from eureka_nlg.losses.objectives import Focal  # noqa: E402


def plain_formula(logits, labels, weights, num_items, cap=0.75):
    """The capped loss of the next tokens in float64, written out."""
    logits, labels = logits[:, :-1].double(), labels[:, 1:]
    kept = labels != -100
    log_p = logits.log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0][kept]
    p = log_p.exp()
    bonus = torch.where(
        p > cap,
        torch.log(torch.tensor(1 - cap).double()) - (p - cap) / (1 - cap),
        torch.log1p(-p.clamp(max=cap)),
    )
    return (-log_p + weights.double()[labels[kept]] * bonus).sum() / num_items


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def stack_gradients(model, batch, num_items):
    """Loss and gradients of the model's own cross-entropy."""
    model = copy.deepcopy(model)
    extra = {"num_items_in_batch": num_items} if model.config.model_type != "t5" else {}
    loss = model(**batch, **extra).loss
    loss.backward()
    return loss.detach(), gradients(model)


def num_targets(model, batch):
    labels = batch["labels"]
    return (labels if model.config.is_encoder_decoder else labels[:, 1:]).ne(-100).sum()


@pytest.mark.parametrize("is_fused", [False, True])
def test_a_step_does_not_depend_on_the_steps_before(is_fused):
    """A resumed training begins without them, and ends as one that was not interrupted, to the bit."""
    loss = EurekaTrainerLoss(torch.linspace(0.2, 3, 50), shift=True)
    weight, target = torch.randn(50, 8) / 2, torch.randint(50, (7,))

    def step(num_items):
        hidden, layer = torch.randn(7, 8, requires_grad=True), weight.clone().requires_grad_()
        of = (hidden, layer, None) if is_fused else (F.linear(hidden, layer),)
        value = (loss.of_projection if is_fused else loss.of_logits)(*of, target, num_items)
        return torch.autograd.grad(value, (hidden, layer))

    found = []
    for before in ([], [5], [7, 7], [3, 11, 13]):
        for num_items in before:
            step(num_items)
        torch.manual_seed(2)
        found.append(step(13))
    assert all(torch.equal(ours, first) for other in found[1:] for ours, first in zip(other, found[0]))


@pytest.mark.parametrize("name", ["llama", "llama_tied", "gpt2", "cohere", "granite", "mixtral"])
@pytest.mark.parametrize("way", ["compute_loss_func", "loss_function", "fused"])
def test_without_encouragement_it_is_the_stacks_own_loss(name, way, make_model, batch):
    model = make_model(name)
    num_items = num_targets(model, batch)
    expected, expected_gradients = stack_gradients(model, batch, num_items)
    loss = EurekaTrainerLoss.for_model(model, 0.0)
    if way == "compute_loss_func":
        inputs = {key: value for key, value in batch.items() if key != "labels"}
        found = loss(model(**inputs), batch["labels"], num_items_in_batch=num_items)
    else:
        apply_eureka(model, loss, fused=way == "fused")
        output = model(**batch, num_items_in_batch=num_items)
        found = output.loss
        assert (output.logits is None) == (way == "fused")
    found.backward()
    torch.testing.assert_close(found.detach(), expected, rtol=1e-6, atol=1e-6)
    found_gradients = gradients(model)
    assert found_gradients.keys() == expected_gradients.keys()
    for key, gradient in found_gradients.items():
        torch.testing.assert_close(gradient, expected_gradients[key], rtol=1e-5, atol=1e-6, msg=key)


@pytest.mark.parametrize("name", ["t5", "bart"])
@pytest.mark.parametrize("fused", [False, True])
def test_encoder_decoders_are_not_shifted(name, fused, make_model, batch):
    model = make_model(name)
    num_items = batch["labels"].ne(-100).sum()
    reference = copy.deepcopy(model)
    expected = reference(**batch).loss  # a mean over the targets
    expected.backward()
    loss = EurekaTrainerLoss.for_model(model, 0.0)
    assert not loss.shift
    if fused:
        found = add_fused_loss(model, loss)(**batch, num_items_in_batch=num_items).loss
    else:
        inputs = {key: value for key, value in batch.items() if key != "labels"}
        decoder = model.prepare_decoder_input_ids_from_labels(labels=batch["labels"])
        found = loss(model(**inputs, decoder_input_ids=decoder), batch["labels"], num_items)
    found.backward()
    torch.testing.assert_close(found.detach(), expected.detach(), rtol=1e-6, atol=1e-6)
    expected_gradients = gradients(reference)
    for key, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, expected_gradients[key], rtol=1e-5, atol=1e-6, msg=key)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        ("dft", lambda p: -p.detach() * p.log()),
        (Focal(1.5), lambda p: -((1 - p) ** 1.5) * p.log()),
        ("power", lambda p: -p),
    ],
)
def test_other_losses_are_those_of_their_formulas(loss, formula, fused, make_model, batch):
    model = make_model("llama")
    inputs = {key: value for key, value in batch.items() if key != "labels"}
    logits, labels = model(**inputs).logits.double()[:, :-1], batch["labels"][:, 1:]
    kept = labels != -100
    likelihood = logits.softmax(-1).gather(-1, labels.where(kept, 0)[..., None])[..., 0][kept]
    expected = formula(likelihood).sum() / 57
    reference = torch.autograd.grad(expected, list(model.parameters()), allow_unused=True)
    own_loss = EurekaTrainerLoss.for_model(model, loss=loss, start_step=2)
    apply_eureka(model, own_loss, fused=fused)
    own_loss.set_progress(epoch=1, step=1)
    plain = -likelihood.log().sum() / 57
    torch.testing.assert_close(model(**batch, num_items_in_batch=57).loss.double(), plain)
    own_loss.sums.clear()
    own_loss.set_progress(epoch=1, step=2)
    found = model(**batch, num_items_in_batch=57).loss
    torch.testing.assert_close(found.detach().double(), expected.detach(), rtol=1e-5, atol=1e-6)
    own = torch.autograd.grad(found, list(model.parameters()), allow_unused=True)
    for gradient, known in zip(own, reference):
        if known is not None:
            torch.testing.assert_close(gradient, known, rtol=1e-4, atol=1e-6)
    logged = own_loss.sums.take()
    assert logged == pytest.approx(
        {"nll": -likelihood.log().mean().item(), "likelihood": likelihood.mean().item()}, rel=1e-4
    )
    with torch.no_grad():
        assert model(**batch, num_items_in_batch=57).loss.item() == pytest.approx(plain.item(), rel=1e-5)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", ["llama", "cohere"])
def test_the_reward_is_that_of_the_formula(name, fused, make_model, batch, counts):
    model = make_model(name)
    weights = encouragement(counts, 0.9, normalization="mean_weight")
    with torch.no_grad():
        model.lm_head.weight.mul_(60.0)
    logits = model(**{key: value for key, value in batch.items() if key != "labels"}).logits
    # half of the rows are predicted, so that the cap is reached
    likeliest = F.pad(logits.detach().argmax(-1), (1, 0))[:, :-1]
    batch["labels"][::2] = likeliest.where(batch["labels"] != -100, -100)[::2]
    expected = plain_formula(logits, batch["labels"], weights, 57)
    assert (logits[::2, :-1].softmax(-1).max(-1).values > 0.75).any()
    reference = torch.autograd.grad(expected, list(model.parameters()), allow_unused=True)
    loss = EurekaTrainerLoss.from_counts(counts, 0.9, shift=True)
    apply_eureka(model, loss, fused=fused)
    found = model(**batch, num_items_in_batch=57).loss
    torch.testing.assert_close(found.detach().double(), expected.detach(), rtol=1e-5, atol=1e-6)
    own = torch.autograd.grad(found, list(model.parameters()), allow_unused=True)
    for gradient, known in zip(own, reference):
        assert (gradient is None) == (known is None)
        if gradient is not None:
            torch.testing.assert_close(gradient, known, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("fused", [False, True])
def test_four_batches_of_two_are_one_of_eight(fused, make_model, batch, counts):
    model = make_model()
    loss = EurekaTrainerLoss.from_counts(counts, shift=True)
    apply_eureka(model, loss, fused=fused)
    num_items = num_targets(model, batch)
    whole = model(**batch, num_items_in_batch=num_items).loss
    whole.backward()
    expected = gradients(model)
    model.zero_grad()
    total = 0.0
    for start in range(0, 8, 2):
        part = {key: value[start : start + 2] for key, value in batch.items()}
        share = model(**part, num_items_in_batch=num_items).loss
        share.backward()
        total += share.item()
    assert total == pytest.approx(whole.item(), abs=1e-6)
    for key, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, expected[key], rtol=1e-5, atol=1e-7, msg=key)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("num_items", [None, 0])
def test_a_batch_without_targets_has_loss_zero(fused, num_items, make_model, batch):
    model = make_model()
    apply_eureka(model, EurekaTrainerLoss(shift=True), fused=fused)
    nothing = torch.full_like(batch["labels"], -100)
    loss = model(**{**batch, "labels": nothing}, num_items_in_batch=num_items).loss
    loss.backward()
    assert loss.item() == 0.0
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())
    assert model.lm_head.weight.grad is not None


@pytest.mark.parametrize("fused", [False, True])
def test_the_first_token_is_no_target(fused, make_model, batch):
    model = make_model()
    apply_eureka(model, EurekaTrainerLoss(shift=True), fused=fused)
    first = torch.full_like(batch["labels"], -100)
    first[:, 0] = 5
    assert model(**{**batch, "labels": first}).loss.item() == 0.0


@pytest.mark.parametrize("fused", [False, True])
def test_labels_that_are_shifted_already(fused, make_model, batch):
    model = make_model()
    apply_eureka(model, EurekaTrainerLoss(shift=True), fused=fused)
    expected = model(**batch).loss
    shifted = F.pad(batch["labels"], (0, 1), value=-100)[:, 1:]
    inputs = {key: value for key, value in batch.items() if key != "labels"}
    given = {"shift_labels": shifted} | ({} if fused else {"labels": batch["labels"]})
    torch.testing.assert_close(model(**inputs, **given).loss, expected)


@pytest.mark.parametrize("fused", [False, True])
def test_evaluation_is_plain_cross_entropy(fused, make_model, batch):
    model = make_model()
    plain = copy.deepcopy(model).eval()(**batch).loss.detach()
    loss = EurekaTrainerLoss(shift=True, label_smoothing=0.1)
    apply_eureka(model, loss, fused=fused)
    with torch.no_grad():  # though in training mode
        torch.testing.assert_close(model(**batch).loss, plain)
    torch.testing.assert_close(model.eval()(**batch).loss.detach(), plain)  # though with gradients
    assert loss.sums.take() == {}
    assert model.train()(**batch).loss.item() < plain.item()


def test_compute_loss_func_evaluates_by_plain_cross_entropy(make_model, batch):
    model = make_model()
    loss = EurekaTrainerLoss.for_model(model)
    inputs = {key: value for key, value in batch.items() if key != "labels"}
    with torch.no_grad():
        outputs = model(**inputs)
        torch.testing.assert_close(
            loss(outputs, batch["labels"]), ForCausalLMLoss(outputs.logits, batch["labels"], 48)
        )


def test_the_log_holds_the_means_over_the_tokens(make_model, batch, counts):
    model = make_model()
    loss = EurekaTrainerLoss.from_counts(counts, shift=True, form="paper")
    inputs = {key: value for key, value in batch.items() if key != "labels"}
    logits = model(**inputs).logits
    for rows in (slice(0, 3), slice(3, 8)):
        loss({"logits": logits[rows]}, batch["labels"][rows])
    labels = batch["labels"][:, 1:]
    log_p = logits[:, :-1].double().log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    log_p = log_p[labels != -100].detach()
    bonus = torch.log1p(-log_p.exp())
    weights = encouragement(counts, normalization="mean_weight").double()[labels[labels != -100]]
    expected = {
        "nll": -log_p.mean().item(),
        "likelihood": log_p.exp().mean().item(),
        "bonus": bonus.mean().item(),
        "reward": (weights * bonus).mean().item(),
    }
    assert loss.sums.take() == pytest.approx(expected, rel=1e-5)
    assert loss.sums.take() == {}


def test_logits_a_thousand_times_as_large_stay_finite(make_model, batch):
    for form in ("capped", "paper"):
        for fused in (False, True):
            model = make_model()
            with torch.no_grad():
                model.lm_head.weight.mul_(1000.0)
            apply_eureka(model, EurekaTrainerLoss(shift=True, form=form), fused=fused)
            loss = model(**batch).loss
            loss.backward()
            assert torch.isfinite(loss)
            assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_half_precision_logits_are_not_copied_to_float32(counts):
    logits = torch.randn(2, 5, 48).bfloat16().requires_grad_()
    labels = torch.randint(0, 48, (2, 5))
    loss = EurekaTrainerLoss.from_counts(counts, shift=True)
    found = loss({"logits": logits}, labels)
    weights = encouragement(counts, normalization="mean_weight")
    torch.testing.assert_close(
        found.double(), plain_formula(logits, labels, weights, 8), rtol=1e-5, atol=1e-5
    )
    found.backward()
    assert logits.grad.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("shape", "labels"),
    [((6, 4), (6,)), ((2, 3, 4), (2, 3)), ((2, 4, 5, 6), (2, 4, 5))],
    ids=["sequences or images", "tokens", "pixels"],
)
def test_classifiers_are_not_shifted(shape, labels):
    logits = torch.randn(shape, requires_grad=True)
    target = torch.randint(0, shape[-1], labels)
    expected = F.cross_entropy(logits.reshape(-1, shape[-1]), target.reshape(-1))
    torch.testing.assert_close(EurekaTrainerLoss(0.0, shift=False)({"logits": logits}, target), expected)


@pytest.mark.parametrize(
    ("outputs", "labels", "said"),
    [
        ({"logits": None}, torch.zeros(2, 3).long(), "no logits"),
        ({"logits": torch.zeros(2, 3, 4)}, None, "no labels"),
        ({"logits": torch.zeros(2, 3, 4)}, torch.zeros(2, 4).long(), r"\[2, 4\]"),
        ({"logits": torch.zeros(2, 4)}, torch.zeros(2, 4), "multi-label"),
        ({"logits": torch.zeros(2, 4)}, torch.zeros(2).long(), r"\[B, T, C\]"),
    ],
)
def test_what_does_not_fit_is_said(outputs, labels, said):
    with pytest.raises(UserError, match=said):
        EurekaTrainerLoss(shift=True)(outputs, labels)


def test_counts_of_a_smaller_vocabulary_than_the_models():
    loss = EurekaTrainerLoss.from_counts([4, 2, 1], shift=False)
    logits, labels = torch.randn(5, 8, requires_grad=True), torch.tensor([0, 1, 2, 7, -100])
    padded = EurekaTrainerLoss(
        F.pad(encouragement([4, 2, 1], normalization="mean_weight"), (0, 5)), shift=False
    )
    torch.testing.assert_close(loss({"logits": logits}, labels), padded({"logits": logits}, labels))
    with pytest.raises(UserError, match="class 2 has a weight: count the targets"):
        loss({"logits": logits[:, :2]}, labels.clamp(max=1))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"form": "exact"}, "capped, paper"),
        ({"likelihood_cap": 1.5}, "likelihood_cap"),
        ({"likelihood_cap": None}, "form='paper'"),
        ({"form": "paper", "likelihood_cap": 0.5}, "has no cap, got likelihood_cap=0.5: leave one"),
        ({"likelihood_clamp": 0}, "likelihood_clamp"),
        ({"start_epoch": 0}, "start_epoch"),
        ({"start_epoch": 2, "start_step": 3}, "not both"),
        ({"label_smoothing": 2.0}, "label_smoothing"),
        ({"loss": "eureca"}, "loss must be one of cross_entropy, .*, got 'eureca'"),
        ({"loss": "dft", "encouragement": 1.0}, "leave these out"),
        ({"loss": "dft", "likelihood_cap": 0.9}, "leave these out"),
    ],
)
def test_options_that_are_none(options, said):
    with pytest.raises(ValueError, match=said):
        EurekaTrainerLoss(shift=True, **options)


def test_the_bonus_has_all_its_options():
    """The capped form is linear from 0.75 on if nothing is said; the paper's has no cap."""
    options = {"bonus": "power", "gamma": 2.0, "threshold": 0.25, "likelihood_clamp": 0.99}
    capped = EurekaTrainerLoss(shift=True, **options).bonus
    assert capped.values() == {**options, "likelihood_cap": 0.75}
    assert EurekaTrainerLoss(shift=True, likelihood_cap=0.5).bonus.likelihood_cap == 0.5
    paper = EurekaTrainerLoss(shift=True, form="paper", **options).bonus
    assert paper.values() == {**options, "likelihood_cap": None}


def test_weights_have_all_options_of_the_encouragement(counts):
    loss = EurekaTrainerLoss.from_counts(counts, 0.9, measure="count", exponent=0.5, scale=3.0, shift=True)
    weights = torch.where(counts > 0, counts.double() ** -0.5, 0.0)
    weights *= 3 * (counts > 0).sum() / weights.sum()
    torch.testing.assert_close(loss.encouragement, weights.float())


def test_it_can_be_pickled_and_copied_with_its_model(make_model, batch, counts):
    loss = EurekaTrainerLoss.from_counts(counts, shift=True)
    again = pickle.loads(pickle.dumps(CausalLMLoss(loss)))
    logits = torch.randn(2, 4, 48, requires_grad=True)
    labels = torch.randint(0, 48, (2, 4))
    torch.testing.assert_close(again(logits, labels, 48), CausalLMLoss(loss)(logits, labels, 48))
    for fused in (False, True):
        model = apply_eureka(make_model(), loss, fused=fused)
        twin = copy.deepcopy(model)
        torch.testing.assert_close(twin(**batch).loss, model(**batch).loss)
        with torch.no_grad():
            twin.lm_head.weight.zero_()  # the copy's own layer is the one that counts
        assert twin(**batch).loss.item() != model(**batch).loss.item()


def test_deferral_needs_to_be_told_and_holds_from_its_start(make_model, batch):
    model = make_model()
    loss = EurekaTrainerLoss(shift=True, start_step=3)
    apply_eureka(model, loss)
    with pytest.raises(RuntimeError, match="callback"):
        model(**batch)
    plain = make_model()(**batch).loss.item()
    loss.set_progress(epoch=1, step=2)
    assert model(**batch).loss.item() == pytest.approx(plain, rel=1e-6)
    assert loss.sums.take()["reward"] == 0.0
    loss.set_progress(epoch=1, step=3)
    assert model(**batch).loss.item() < plain


@pytest.mark.parametrize("name", ["bart", "t5"])
def test_models_that_compute_their_loss_inside_are_noticed(name, make_model):
    model = make_model(name)
    with pytest.raises(UserError, match="computes its loss itself"):
        apply_eureka(model, EurekaTrainerLoss.for_model(model))
    assert "_loss_function" not in model.__dict__


def test_a_causal_model_that_does_not_ask_is_noticed(make_model, monkeypatch):
    model = make_model()
    original = type(model).forward

    def inside(self, input_ids, labels=None, **kwargs):
        output = original(self, input_ids, **kwargs)
        if labels is not None:
            output["loss"] = ForCausalLMLoss(output.logits, labels, 48)
        return output

    monkeypatch.setattr(type(model), "forward", inside)
    with pytest.raises(UserError, match="does not call"):
        apply_eureka(model, EurekaTrainerLoss(shift=True))
    assert model.training


def test_a_loss_that_was_built_for_another_alignment_is_refused(make_model):
    model = make_model("t5")
    trainer = SimpleNamespace(model=model)
    with pytest.raises(UserError, match="does not shift"):
        EurekaTrainerLoss(shift=True).attach(trainer)
    with pytest.raises(UserError, match="for_model"):
        add_fused_loss(model, EurekaTrainerLoss(shift=True))


def test_a_reward_that_runs_away_is_told_once():
    labels = torch.tensor([1, 2, 1])
    outputs = {"logits": (400 * F.one_hot(labels, 4).float()).requires_grad_()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for quiet in (
            EurekaTrainerLoss(2.0, shift=False),
            EurekaTrainerLoss(2.0, shift=False, form="paper", start_step=2),
        ):
            quiet.set_progress(1, 1)
            quiet(outputs, labels)
        with torch.no_grad():
            EurekaTrainerLoss(2.0, shift=False, form="paper")(outputs, labels)
    loss = EurekaTrainerLoss(2.0, shift=False, form="paper")
    with pytest.warns(UserWarning, match="a mean loss of -.*running away.*form='capped' bounds it") as told:
        assert loss(outputs, labels) < -100
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(outputs, labels)


@pytest.mark.parametrize("form", ["capped", "paper"])
def test_what_is_not_finite_is_not_hidden(form):
    labels = torch.tensor([1, 2, 3])
    for value in (float("nan"), float("inf")):
        logits = torch.zeros(3, 4)
        logits[0, 3] = value
        assert not EurekaTrainerLoss(2.0, shift=False, form=form)(
            {"logits": logits.requires_grad_()}, labels
        ).isfinite()
    nothing = torch.zeros(3, 4, requires_grad=True)
    loss = EurekaTrainerLoss(2.0, shift=False, form=form)({"logits": nothing}, torch.full((3,), -100))
    loss.backward()
    assert loss == 0
    assert not nothing.grad.any()

"""GEM and unlikelihood as criterions, against sums over the tokens in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from fairseq.data import Dictionary
from torch import Tensor

from eureka_nlg.errors import UserError
from fairseq_plugins import criterions

CONFIGS = {
    "gem": (criterions.GEMCriterion, criterions.GEMCriterionConfig),
    "unlikelihood": (criterions.UnlikelihoodCriterion, criterions.UnlikelihoodCriterionConfig),
}


def criterion_of(name: str, task: Any, epoch: int = 1, **options: Any) -> Any:
    kind, config = CONFIGS[name]
    criterion = kind(config(**{"sentence_avg": False, "train_subset": "train", **options}), task)
    task.begin_epoch(epoch, None)
    return criterion


def rows(model: Any, sample: Any) -> list[tuple[int, int, int, Tensor]]:
    """Sentence, position, target and float64 logits of each target token."""
    logits = model(**sample["net_input"])[0].double()
    pad = model.decoder.dictionary.pad()
    return [
        (row, place, int(token), logits[row, place])
        for row, sentence in enumerate(sample["target"])
        for place, token in enumerate(sentence)
        if token != pad
    ]


def assert_loss(criterion: Any, model: Any, sample: Any, expected: Tensor) -> dict[str, Any]:
    loss, _, log = criterion(model, sample)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
    table = model.decoder.table.weight
    torch.testing.assert_close(torch.autograd.grad(loss, table)[0], torch.autograd.grad(expected, table)[0])
    torch.testing.assert_close(criterion(model, sample, reduce=False)[0].sum(), loss)
    # what is logged stays comparable
    nll = sum(-z.log_softmax(0)[token].item() for _, _, token, z in rows(model, sample))
    assert log["nll_loss"].item() == pytest.approx(nll, rel=1e-5)
    return log


@pytest.mark.parametrize("contrast", ["linear", "log_sigmoid"])
def test_gem(task: Any, model: Any, sample: Any, contrast: str) -> None:
    expected = torch.zeros((), dtype=torch.float64)
    for _, _, token, z in rows(model, sample):
        gap = z - z[token]
        h = torch.sigmoid(0.01 * gap) if contrast == "log_sigmoid" else torch.ones_like(gap)
        expected = expected + (((z / 0.5).softmax(0) * h).detach() * gap).sum()
    criterion = criterion_of("gem", task, gem_temperature=0.5, gem_contrast=contrast)
    assert_loss(criterion, model, sample, expected)


@pytest.mark.parametrize("candidates", ["reply", "context", "both"])
def test_unlikelihood(task: Any, model: Any, sample: Any, dictionary: Dictionary, candidates: str) -> None:
    """A word that is there twice is a candidate once, and none where it is the target."""
    expected, punished = torch.zeros((), dtype=torch.float64), 0.0
    for row, place, token, z in rows(model, sample):
        said = set(sample["target"][row, :place].tolist())
        context = set(sample["net_input"]["src_tokens"][row].tolist()) - {dictionary.pad(), dictionary.eos()}
        chosen = {"reply": said, "context": context, "both": said | context}[candidates] - {token}
        likelihood = z.softmax(0)
        cost = -sum((1 - likelihood[one]).log() for one in sorted(chosen)) + 0.0 * z.sum()
        expected = expected - likelihood[token].log() + 0.7 * cost
        punished += cost.item()
    options = {"unlikelihood_alpha": 0.7, "unlikelihood_candidates": candidates}
    log = assert_loss(criterion_of("unlikelihood", task, **options), model, sample, expected)
    assert log["unlikelihood"].item() == pytest.approx(punished, rel=1e-5)
    assert punished > 0


@pytest.mark.parametrize("name", CONFIGS)
def test_deferred_and_without_a_prefix(task: Any, model: Any, sample: Any, name: str) -> None:
    criterion = criterion_of(name, task, epoch=2, loss_start_epoch=3)
    assert_loss(
        criterion, model, sample, sum(-z.log_softmax(0)[token] for _, _, token, z in rows(model, sample))
    )
    task.begin_epoch(3, None)
    whole = criterion(model, sample, reduce=False)[0].reshape(sample["target"].shape)
    short = criterion_of(name, task, ignore_prefix_size=1)(model, sample)[0]
    # what stands in the prefix is a candidate all the same
    torch.testing.assert_close(short, whole[:, 1:].sum())


BAD = {
    "temperature": ("gem", {"gem_temperature": 0.0}, "--gem-temperature"),
    "alpha": ("unlikelihood", {"unlikelihood_alpha": -1.0}, "--unlikelihood-alpha"),
    "fused": ("gem", {"fused_linear": True}, "--fused-linear never stores the logits"),
}


@pytest.mark.parametrize(("name", "options", "named"), BAD.values(), ids=BAD)
def test_bad_options(task: Any, name: str, options: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named):
        criterion_of(name, task, **options)


def test_contexts_with_a_dictionary_of_their_own(task: Any) -> None:
    task.src_dict = Dictionary()
    criterion_of("unlikelihood", task)
    with pytest.raises(UserError, match=r"--unlikelihood-candidates both: .* dictionaries of their own"):
        criterion_of("unlikelihood", task, unlikelihood_candidates="both")

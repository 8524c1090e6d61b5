"""Sequence-level unlikelihood: what is over-used, its loss against the formula, and a real training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("fairseq")

from fairseq.logging import metrics

from eureka_nlg.errors import UserError
from fairseq_plugins.tasks import DialogueConfig, DialogueTask
from fairseq_plugins.tasks.over_use import over_used, repeated, unlikelihood
from fairseq_plugins.tasks.own_replies import OwnReplies


@pytest.mark.parametrize(
    ("tokens", "n", "before", "marked"),
    [
        ("a b c", 1, None, ""),
        ("a b a", 1, None, "2"),
        ("a b c a b d", 2, None, "34"),
        ("a a a a", 2, None, "123"),  # the second "a a" overlaps the first
        ("a b c d", 5, None, ""),
        ("a b c d", 2, "x b c y", "12"),
        ("a b a b", 2, "b a", "12"),
        ("a b", 2, "", ""),
    ],
)
def test_repeated(tokens: str, n: int, before: str | None, marked: str) -> None:
    def of(text: str) -> list[int]:
        return [ord(word) for word in text.split()]

    found = repeated(of(tokens), n, None if before is None else of(before))
    assert [place for place, mark in enumerate(found) if mark] == [int(place) for place in marked]


def test_over_used() -> None:
    of_model, of_people = [6, 2, 0, 2], [3, 6, 1, 0]
    expected = [0.6 * math.log(0.6 / 0.3), 0.0, 0.0, 0.2 * math.log(0.2 / 0.1)]  # unseen: taken for one
    assert over_used(torch.tensor(of_model), torch.tensor(of_people)).tolist() == pytest.approx(expected)
    assert not over_used(torch.zeros(4), torch.tensor(of_people)).any()


def test_unlikelihood() -> None:
    logits = torch.randn(5, 7, requires_grad=True)
    tokens, weight = torch.tensor([1, 2, 3, 4, 5]), torch.tensor([0.0, 0.5, 0.0, 2.0, 0.0]).double()
    p = logits.double().softmax(1)
    expected = (-0.5 * (1 - p[1, 2]).log() - 2 * (1 - p[3, 4]).log()) / 2
    actual = unlikelihood(logits, tokens, weight)
    torch.testing.assert_close(actual.double(), expected)
    of_actual, of_expected = (torch.autograd.grad(value, logits)[0] for value in (actual, expected))
    torch.testing.assert_close(of_actual, of_expected)
    assert unlikelihood(logits, tokens, torch.zeros(5)) == 0
    # however certain the model is of what it should not say
    certain = (100 * torch.eye(7)[:5]).requires_grad_()
    loss = unlikelihood(certain, torch.arange(5), torch.ones(5))
    assert loss.item() == pytest.approx(100 - math.log(6), rel=1e-5)
    assert torch.autograd.grad(loss, certain)[0].diagonal().tolist() == pytest.approx([0.2] * 5)


def dialogue_task(task: Any, folder: Path, **options: Any) -> DialogueTask:
    config = DialogueConfig(
        data=str(folder),
        train_subset="train",
        seed=1,
        best_checkpoint_metric="ppl",
        maximize_best_checkpoint_metric=False,
        **options,
    )
    result = DialogueTask(config, task.source_dictionary, task.target_dictionary)
    result.datasets["train"] = task.dataset("train")
    return result


class Replies(OwnReplies):
    """Those that a test gives it, in the place of decoded ones."""

    def _decoded(self, model: Any, sample: dict[str, Any]) -> list[Tensor]:
        return self.given


def test_the_loss_of_replies(
    task: Any, model: Any, sample: dict[str, Any], target_counts: Tensor, tmp_path: Path
) -> None:
    """By hand: bigrams of the reply and of the context, and words that were used too often before."""
    metrics.reset()
    kinds = "repetition, context,vocabulary"
    options = {"sequence_unlikelihood_ngram": 2, "sequence_unlikelihood_alpha": 0.5}
    own = dialogue_task(task, tmp_path, sequence_unlikelihood=kinds, **options)
    replies = Replies(own.cfg, own)
    replies.check(None)
    index = task.target_dictionary.index
    words = [["the", "cat", "the", "cat"], ["a", "dog", "only-in-source"], ["the"], ["dog"]]
    replies.given = [torch.tensor([index(word) for word in line] + [2]) for line in words]
    contexts = sample["net_input"]["src_tokens"].tolist()

    def loss(said: Tensor | None) -> Tensor:
        result = torch.zeros((), dtype=torch.float64)
        weights: dict[str, dict[tuple[int, int], float]] = {"repetition": {}, "context": {}, "vocabulary": {}}
        for row, tokens in enumerate(line.tolist() for line in replies.given):
            for place in range(len(tokens) - 1):
                bigram = tokens[place : place + 2]
                if bigram in [tokens[at : at + 2] for at in range(place)]:
                    weights["repetition"] |= {(row, place): 1.0, (row, place + 1): 1.0}
                if bigram in [contexts[row][at : at + 2] for at in range(len(contexts[row]) - 1)]:
                    weights["context"] |= {(row, place): 1.0, (row, place + 1): 1.0}
            if said is not None:
                for place, token in enumerate(tokens):
                    p, expected = (said[token] / said.sum()).item(), max(target_counts[token].item(), 1) / 15
                    if p > expected:
                        weights["vocabulary"][row, place] = p * math.log(p / expected)
        assert all(weights[kind] for kind in weights if kind != "vocabulary" or said is not None)
        for chosen in weights.values():
            for (row, place), weight in chosen.items():
                before = 2 if place == 0 else int(replies.given[row][place - 1])
                likelihood = model.decoder.table.weight[before].double().softmax(0)
                result = result - weight * (1 - likelihood[replies.given[row][place]]).log() / len(chosen)
        return result

    assert target_counts.sum() == 15

    def criterion(model: Any, sample: Any) -> tuple[Tensor, int, dict[str, Any]]:
        return model.decoder.table.weight[4].sum(), 8, {"loss": 1.0}

    def check(said: Tensor | None) -> dict[str, Any]:
        total, size, log = replies.beside(criterion)(model, sample)
        expected = criterion(model, sample)[0] + 0.5 * 8 * loss(said)
        torch.testing.assert_close(total.double(), expected.double())
        table = model.decoder.table.weight
        torch.testing.assert_close(
            torch.autograd.grad(total, table)[0], torch.autograd.grad(expected, table)[0]
        )
        assert size == 8
        return log

    log = check(None)
    said = torch.bincount(torch.cat(replies.given), minlength=len(task.target_dictionary)).double()
    assert log["own_replies"].equal(said)
    with metrics.aggregate("train"):
        replies.log([log, {"loss": 1.0}, log])
    logged = metrics.get_smoothed_values("train")
    assert logged["own_unlikelihood"] == pytest.approx(loss(None).item(), abs=1e-4)
    assert 0 < logged["own_punished"] < 1
    assert "counts" not in logged
    check(2 * said)
    metrics.reset()


def test_which_updates_decode(task: Any, tmp_path: Path) -> None:
    def due(rate: float, seed: int = 1) -> list[bool]:
        own = dialogue_task(task, tmp_path, sequence_unlikelihood="context", sequence_unlikelihood_rate=rate)
        own.cfg.seed = seed
        return [own._own_replies.are_due(update) for update in range(400)]

    assert not any(due(0.0))
    assert all(due(1.0))
    assert 60 < sum(due(0.2)) < 100
    assert due(0.2) == due(0.2) != due(0.2, seed=2)


def test_contexts_with_a_dictionary_of_their_own(task: Any, tmp_path: Path) -> None:
    own = dialogue_task(task, tmp_path, sequence_unlikelihood="context")
    own.src_dict = type(task.target_dictionary)()
    with pytest.raises(UserError, match=r"--sequence-unlikelihood context: .* dictionaries of their own"):
        own.begin_epoch(1, None)

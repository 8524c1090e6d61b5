"""The criterion against fairseq's own, and against sums over the tokens in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.logging import metrics
from torch import Tensor

from eureka_nlg.errors import UserError
from fairseq_plugins.criterions.eureka import EurekaCriterion, EurekaCriterionConfig

BETA = 0.9


def criterion_of(task: Any, epoch: int = 1, **options: Any) -> EurekaCriterion:
    """The criterion in an epoch; the bonus is on from epoch 1 unless the options say otherwise."""
    defaults = {"encouragement_start_epoch": 1, "beta": BETA, "sentence_avg": False, "train_subset": "train"}
    criterion = EurekaCriterion(EurekaCriterionConfig(**{**defaults, **options}), task)
    task.begin_epoch(epoch, None)
    return criterion


def tokens(model: Any, sample: Any, prefix: int = 0) -> tuple[Tensor, Tensor]:
    """Likelihoods of the target tokens (float64) and their classes, without padding and prefix."""
    logits = model(**sample["net_input"])[0].double()[:, prefix:]
    target = sample["target"][:, prefix:]
    kept = target != model.decoder.dictionary.pad()
    return logits.softmax(-1)[kept].gather(1, target[kept][:, None])[:, 0], target[kept]


def encouragement_by_hand(counts: Tensor, beta: float = BETA) -> Tensor:
    """Eq. 9 over the classes that occur."""
    occurring = counts > 0
    size = (1 - beta ** counts.double()) / (1 - beta)
    return torch.where(occurring, size[occurring].mean() / size.clamp(min=1e-9), 0.0)


def gradient(loss: Tensor, model: Any) -> Tensor:
    return torch.autograd.grad(loss, model.decoder.table.weight)[0]


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("sentence_avg", [False, True])
@pytest.mark.parametrize("ignore_prefix_size", [0, 1])
@pytest.mark.parametrize("report_accuracy", [False, True])
def test_before_its_epoch_it_is_fairseqs_cross_entropy(
    task: Any,
    model: Any,
    sample: Any,
    epsilon: float,
    sentence_avg: bool,
    ignore_prefix_size: int,
    report_accuracy: bool,
) -> None:
    shared = {
        "label_smoothing": epsilon,
        "sentence_avg": sentence_avg,
        "ignore_prefix_size": ignore_prefix_size,
        "report_accuracy": report_accuracy,
    }
    theirs = LabelSmoothedCrossEntropyCriterion(task, **shared)
    ours = criterion_of(task, epoch=1, encouragement_start_epoch=2, **shared)
    expected, expected_size, expected_log = theirs(model, sample)
    loss, size, log = ours(model, sample)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient(loss, model), gradient(expected, model))
    assert size == expected_size
    assert set(expected_log) <= set(log)
    for name, value in expected_log.items():
        torch.testing.assert_close(torch.as_tensor(log[name]), torch.as_tensor(value), check_dtype=False)
    assert ("n_correct" in log) == report_accuracy
    # and of one row each on request
    torch.testing.assert_close(ours(model, sample, reduce=False)[0].sum(), expected)


@pytest.mark.parametrize("prefix", [0, 1])
def test_from_its_epoch_on_the_bonus_is_added(
    task: Any, model: Any, sample: Any, target_counts: Any, prefix: int
) -> None:
    options = {"label_smoothing": 0.1, "ignore_prefix_size": prefix}
    plain = criterion_of(task, epoch=1, encouragement_start_epoch=2, **options)(model, sample)[0]
    loss = criterion_of(task, epoch=2, encouragement_start_epoch=2, **options)(model, sample)[0]
    p, target = tokens(model, sample, prefix)
    expected = plain + (encouragement_by_hand(target_counts)[target] * (1 - p).log()).sum()
    torch.testing.assert_close(loss.double(), expected)
    torch.testing.assert_close(gradient(loss, model), gradient(expected, model))
    assert loss < plain - 0.1


def test_bonus_options_reach_the_loss(task: Any, model: Any, sample: Any, target_counts: Any) -> None:
    p, target = tokens(model, sample)
    weight = encouragement_by_hand(target_counts)[target]
    cross_entropy = -p.log()
    phi = torch.tensor(0.05)
    cap = 0.1
    cases: list[tuple[dict[str, Any], Tensor]] = [
        ({"bonus": "power", "bonus_gamma": 2.0}, weight * -(p**2)),
        ({"encouragement_scale": 4.0}, 4 * weight * (1 - p).log()),
        ({"bonus_threshold": 0.05}, weight * torch.where(p > phi, (1 - p).log() - (1 - phi).log(), 0)),
        (
            {"likelihood_cap": cap},
            weight * torch.where(p > cap, math.log(1 - cap) - (p - cap) / (1 - cap), (1 - p).log()),
        ),
    ]
    cases.append(({"likelihood_clamp": cap}, weight * (1 - p.clamp(max=cap)).log()))
    assert (p > cap).any()
    assert (p < phi).any()
    for options, bonus in cases:
        loss = criterion_of(task, **options)(model, sample)[0]
        torch.testing.assert_close(loss.double(), (cross_entropy + bonus).sum(), rtol=1e-5, atol=1e-5)


def test_encouragement_options(task: Any, target_counts: Any) -> None:
    counts = target_counts.double()
    occurring = counts > 0
    expected = torch.where(occurring, counts[occurring].mean() / counts.clamp(min=1), 0.0)
    by_count = criterion_of(task, encouragement_measure="count").encouragement(torch.device("cpu"))
    torch.testing.assert_close(by_count.double(), expected, rtol=1e-6, atol=0)
    mean_one = criterion_of(task, encouragement_measure="count", encouragement_normalization="mean_weight")
    expected = expected / expected[occurring].mean()
    torch.testing.assert_close(
        mean_one.encouragement(torch.device("cpu")).double(), expected, rtol=1e-6, atol=0
    )
    released = criterion_of(task, preset="released", encouragement_measure="count")
    torch.testing.assert_close(
        released.encouragement(torch.device("cpu")).double(), expected, rtol=1e-6, atol=0
    )
    assert released.bonus.likelihood_clamp == 0.99999
    root = criterion_of(task, encouragement_measure="count", encouragement_exponent=0.5)
    expected = torch.where(occurring, counts[occurring].sqrt().mean() / counts.clamp(min=1).sqrt(), 0.0)
    torch.testing.assert_close(root.encouragement(torch.device("cpu")).double(), expected, rtol=1e-6, atol=0)
    from_dictionary = criterion_of(task, class_counts="dictionary").encouragement(torch.device("cpu"))
    assert not from_dictionary[:4].any()
    assert from_dictionary[4:9].all()


def test_padding_is_ignored(task: Any, model: Any, sample: Any, dictionary: Any) -> None:
    criterion = criterion_of(task)
    loss, _, log = criterion(model, sample)
    assert (sample["target"] == dictionary.pad()).any()
    assert log["ntokens"] == 15
    # the rows behind the padding may hold anything
    padded = sample["target"] == dictionary.pad()
    sample["net_input"]["prev_output_tokens"][padded] = dictionary.index("never")
    with torch.no_grad():
        model.decoder.table.weight[dictionary.index("never")] = torch.randn(len(dictionary)) * 50
    again, _, log_again = criterion(model, sample)
    assert again.equal(loss)
    for name, value in log.items():
        assert log_again[name] == value


def test_logged_sums(task: Any, model: Any, sample: Any, target_counts: Any) -> None:
    p, target = tokens(model, sample)
    bonus = (1 - p).log()
    log = criterion_of(task, label_smoothing=0.1)(model, sample)[2]
    assert log["nll_loss"].item() == pytest.approx(-p.log().sum().item(), rel=1e-5)
    assert log["likelihood"].item() == pytest.approx(p.sum().item(), rel=1e-5)
    assert log["bonus"].item() == pytest.approx(bonus.sum().item(), rel=1e-5)
    reward = (encouragement_by_hand(target_counts)[target] * bonus).sum().item()
    assert log["reward"].item() == pytest.approx(reward, rel=1e-5)
    assert log["nsentences"] == 4
    assert log["sample_size"] == log["ntokens"] == 15
    assert not any(isinstance(value, Tensor) and value.requires_grad for value in log.values())

    before = criterion_of(task, epoch=1, encouragement_start_epoch=2)(model, sample)[2]
    assert before["reward"] == 0
    assert before["bonus"].item() == pytest.approx(bonus.sum().item(), rel=1e-5)
    assert set(before) == set(log)  # processes add up their logs by name


def test_accuracy(task: Any, model: Any, sample: Any) -> None:
    log = criterion_of(task, report_accuracy=True)(model, sample)[2]
    predicted = model(**sample["net_input"])[0].argmax(-1)
    kept = sample["target"] != task.target_dictionary.pad()
    assert int(log["n_correct"]) == int((predicted == sample["target"])[kept].sum())
    assert int(log["total"]) == int(kept.sum()) == 15


def test_reduced_metrics_are_plain_cross_entropys(task: Any, model: Any, sample: Any) -> None:
    """Perplexity and nll_loss are those of fairseq's criterion on the same model, whatever the loss."""
    options = {"report_accuracy": True, "sentence_avg": True, "label_smoothing": 0.1}
    ours = criterion_of(task, **options)
    theirs = LabelSmoothedCrossEntropyCriterion(task, ignore_prefix_size=0, **options)
    dataset = task.dataset("train")
    batches = [sample, dataset.collater([dataset[1]])]
    values = []
    for criterion in (ours, theirs):
        logs = [criterion(model, batch)[2] for batch in batches]
        with metrics.aggregate() as aggregator:
            criterion.reduce_metrics(logs)
        values.append(aggregator.get_smoothed_values())
        if criterion is ours:
            our_logs = logs
    actual, expected = values
    for name in ("nll_loss", "ppl", "accuracy"):
        assert float(actual[name]) == pytest.approx(float(expected[name]), rel=1e-4)
    p = torch.cat([tokens(model, batch)[0] for batch in batches])
    assert actual["ppl"] == pytest.approx(math.exp(-p.log().mean().item()), abs=0.01)
    # averages over tokens, in nats; the loss over sentences, in bits
    assert actual["likelihood"] == pytest.approx(p.mean().item(), abs=1e-4)
    assert actual["bonus"] == pytest.approx((1 - p).log().mean().item(), abs=1e-4)
    total = sum(float(log["loss"]) for log in our_logs)
    assert float(actual["loss"]) == pytest.approx(total / 5 / math.log(2), abs=1e-3)
    assert EurekaCriterion.logging_outputs_can_be_summed()


@pytest.mark.parametrize("prefix", [0, 1])
def test_averages_are_over_the_tokens_that_count(task: Any, model: Any, sample: Any, prefix: int) -> None:
    """fairseq divides loss and perplexity by all tokens, an ignored prefix too; what is ours is not so."""
    criterion = criterion_of(task, ignore_prefix_size=prefix)
    with metrics.aggregate() as aggregator:
        criterion.reduce_metrics([criterion(model, sample)[2]])
    values = aggregator.get_smoothed_values()
    p, _ = tokens(model, sample, prefix)
    assert len(p) == (15 if prefix == 0 else 11)
    assert values["likelihood"] == pytest.approx(p.mean().item(), abs=1e-4)
    assert values["bonus"] == pytest.approx((1 - p).log().mean().item(), abs=1e-4)
    assert values["nll_loss"] == pytest.approx(-p.log2().sum().item() / 15, abs=1e-3)


def test_a_diverged_model_does_not_look_good(task: Any, model: Any, sample: Any) -> None:
    """NaN must reach the log: a perplexity of 1 would be kept as the best checkpoint."""
    with torch.no_grad():
        model.decoder.table.weight.fill_(math.nan)
    loss, _, log = criterion_of(task)(model, sample)
    assert loss.isnan()
    for name in ("loss", "nll_loss", "likelihood", "bonus", "reward"):
        assert log[name].isnan(), name


def sure_of(model: Any, sample: Any, monkeypatch: pytest.MonkeyPatch, logit: float) -> None:
    """Let the model give every target this logit, and the other words zero."""
    num_classes = len(model.decoder.dictionary)
    logits = logit * torch.nn.functional.one_hot(sample["target"], num_classes).float()
    monkeypatch.setattr(model.decoder, "forward", lambda *_, **__: (logits.requires_grad_(), None))


def test_a_reward_that_runs_away_is_told_once(
    task: Any, model: Any, sample: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sure_of(model, sample, monkeypatch, 400.0)
    for quiet in (
        criterion_of(task, likelihood_cap=0.9),
        criterion_of(task, encouragement_start_epoch=2),
        criterion_of(task).eval(),
    ):
        quiet(model, sample)
    criterion = criterion_of(task, epoch=3)
    assert not [record for record in caplog.records if record.levelname != "INFO"]
    for _ in range(2):
        criterion(model, sample)
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    for words in ("epoch 3: a mean loss of -", "running away", "--likelihood-cap 0.9", "likelihood_cap=0.9"):
        assert words in record.getMessage()


def test_a_batch_of_padding_costs_nothing(task: Any, model: Any, sample: Any, dictionary: Any) -> None:
    sample["target"].fill_(dictionary.pad())
    sample["ntokens"] = 0
    loss, sample_size, log = criterion_of(task)(model, sample)
    loss.backward()
    assert (loss.item(), sample_size, log["ncounted"].item()) == (0.0, 0, 0)
    assert not model.decoder.table.weight.grad.any()


def test_the_softmax_of_a_pointer_model_is_asked_for(task: Any, pointer_model: Any, sample: Any) -> None:
    theirs = LabelSmoothedCrossEntropyCriterion(task, sentence_avg=False, label_smoothing=0.1)
    expected = theirs(pointer_model, sample)[0]
    loss = criterion_of(task, encouragement_start_epoch=2, label_smoothing=0.1)(pointer_model, sample)[0]
    torch.testing.assert_close(loss, expected)
    # the bonus, too, is that of the mixed likelihoods
    log_p = pointer_model.get_normalized_probs(pointer_model(**sample["net_input"]), log_probs=True).double()
    kept = sample["target"] != task.target_dictionary.pad()
    p = log_p.exp()[kept].gather(1, sample["target"][kept][:, None])
    log = criterion_of(task)(pointer_model, sample)[2]
    assert log["bonus"].item() == pytest.approx((1 - p).log().sum().item(), rel=1e-5)


def test_adaptive_softmax_is_refused(task: Any, model: Any, sample: Any) -> None:
    criterion = criterion_of(task)
    model.decoder.adaptive_softmax = torch.nn.Identity()
    with pytest.raises(UserError, match="--adaptive-softmax-cutoff"):
        criterion(model, sample)
    with pytest.raises(UserError, match="--adaptive-softmax-cutoff"):
        task.begin_epoch(1, model)  # in training already here, before the first batch


def test_a_wrapped_model_gives_the_same(task: Any, model: Any, pointer_model: Any, sample: Any) -> None:
    """With several processes the criterion gets the model inside of two wrappers."""

    class Wrapper(torch.nn.Module):
        def __init__(self, module: torch.nn.Module) -> None:
            super().__init__()
            self.module = module

        def forward(self, **inputs: Any) -> Any:
            return self.module(**inputs)

        def get_targets(self, *inputs: Any) -> Any:
            return self.module.get_targets(*inputs)

    for inner in (model, pointer_model):
        expected = criterion_of(task)(inner, sample)[0]
        assert criterion_of(task)(Wrapper(Wrapper(inner)), sample)[0].equal(expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(task: Any, model: Any, sample: Any, tmp_path: Any, dtype: torch.dtype) -> None:
    """fairseq casts the criterion with the model; the encouragement must keep its range and digits."""
    path = tmp_path / "counts.txt"
    path.write_text("".join(f"{count}\n" for count in [0, 0, 900_001, 3, 3_000_007, 5, 1, 2, 1, 1, 0]))
    criterion = criterion_of(task, class_counts=str(path), encouragement_measure="count").to(dtype)
    counts = torch.tensor([0, 0, 900_001, 3, 3_000_007, 5, 1, 2, 1, 1, 0])
    occurring = counts > 0
    expected = torch.where(occurring, counts[occurring].double().mean() / counts.clamp(min=1), 0.0)
    assert expected.max() > torch.finfo(torch.float16).max
    weights = criterion.encouragement(torch.device("cpu"))
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights.double(), expected, rtol=1e-6, atol=0)

    model = model.to(dtype)
    loss, _, log = criterion(model, sample)
    assert loss.dtype == torch.float32
    p, target = tokens(model, sample)
    value = (-p.log() + expected[target] * (1 - p).log()).sum()
    assert loss.item() == pytest.approx(value.item(), rel=1e-5)
    assert log["nll_loss"].item() == pytest.approx(-p.log().sum().item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, model.decoder.table.weight)
    assert gradient.dtype == dtype


BAD_OPTIONS = [
    ({"beta": 1.0}, r"--beta.*1\.0"),
    ({"beta": -0.1}, r"--beta.*-0\.1"),
    ({"beta": math.nan}, "--beta.*nan"),
    ({"label_smoothing": 1.0}, r"--label-smoothing.*1\.0"),
    ({"encouragement_start_epoch": 0}, "--encouragement-start-epoch.*0"),
    ({"encouragement_scale": -1.0}, r"--encouragement-scale.*-1\.0"),
    ({"encouragement_scale": math.nan}, "--encouragement-scale.*nan"),
    ({"bonus_gamma": 0.0}, r"--bonus-gamma.*0\.0"),
    ({"bonus_gamma": math.inf}, "--bonus-gamma.*inf"),
    ({"bonus_threshold": 1.0}, r"--bonus-threshold.*1\.0"),
    ({"likelihood_cap": 1.0}, r"--likelihood-cap.*1\.0"),
    ({"likelihood_cap": 0.0}, r"--likelihood-cap.*0\.0"),
    ({"likelihood_clamp": 1.0}, r"--likelihood-clamp.*1\.0"),
    ({"likelihood_clamp": 0.4, "bonus_threshold": 0.5}, r"--likelihood-clamp.*0\.4"),
    ({"ignore_prefix_size": -1}, "--ignore-prefix-size.*-1"),
]


@pytest.mark.parametrize(("options", "named"), BAD_OPTIONS, ids=str)
def test_bad_options(task: Any, options: Any, named: str) -> None:
    with pytest.raises(UserError, match=named) as caught:
        criterion_of(task, **options)
    assert "\n" not in str(caught.value)


def test_state_holds_nothing_that_a_checkpoint_could_bring_back_wrongly(task: Any) -> None:
    criterion = criterion_of(task)
    assert not list(criterion.parameters())
    assert not criterion.state_dict()

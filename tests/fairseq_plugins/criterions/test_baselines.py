"""The criterions of the baselines against sums over the tokens in float64."""

from __future__ import annotations

import argparse
import io
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf, gen_parser_from_dataclass
from fairseq.logging import metrics
from omegaconf import OmegaConf
from torch import Tensor

from eureka_nlg.errors import UserError
from fairseq_plugins import criterions

CONFIGS = {
    "focal": (criterions.FocalCriterion, criterions.FocalCriterionConfig),
    "halted_focal": (criterions.HaltedFocalCriterion, criterions.HaltedFocalCriterionConfig),
    "class_balanced": (criterions.ClassBalancedCriterion, criterions.ClassBalancedCriterionConfig),
    "dft": (criterions.DFTCriterion, criterions.DFTCriterionConfig),
    "power": (criterions.PowerCriterion, criterions.PowerCriterionConfig),
    "anti_focal": (criterions.AntiFocalCriterion, criterions.AntiFocalCriterionConfig),
    "tldr": (criterions.TLDRCriterion, criterions.TLDRCriterionConfig),
    "mixce": (criterions.MixCECriterion, criterions.MixCECriterionConfig),
    "logit_adjusted": (criterions.LogitAdjustedCriterion, criterions.LogitAdjustedCriterionConfig),
    "gem": (criterions.GEMCriterion, criterions.GEMCriterionConfig),
    "unlikelihood": (criterions.UnlikelihoodCriterion, criterions.UnlikelihoodCriterionConfig),
    "eureka": (criterions.EurekaCriterion, criterions.EurekaCriterionConfig),
}


def criterion_of(name: str, task: Any, epoch: int = 1, **options: Any) -> Any:
    """The criterion in an epoch."""
    kind, config = CONFIGS[name]
    criterion = kind(config(**{"sentence_avg": False, "train_subset": "train", **options}), task)
    task.begin_epoch(epoch, None)
    return criterion


def tokens(model: Any, sample: Any) -> tuple[Tensor, Tensor]:
    """Likelihoods of the target tokens in float64, and their classes, without padding."""
    logits = model(**sample["net_input"])[0].double()
    kept = sample["target"] != model.decoder.dictionary.pad()
    target = sample["target"][kept]
    return logits.softmax(-1)[kept].gather(1, target[:, None])[:, 0], target


def balanced(counts: Tensor, beta: float) -> Tensor:
    """Cui et al.: inverse effective number, with mean one over the training tokens."""
    size = (1 - beta ** counts.double()) / (1 - beta)
    weight = torch.where(counts > 0, 1 / size.clamp(min=1e-9), 0.0)
    return weight * counts.sum() / (weight * counts).sum()


def halted(p: Tensor, gamma: float, phi: float) -> Tensor:
    shift = -(1 - (1 - phi) ** gamma) * math.log(phi)
    return torch.where(p > phi, -(p.log() + shift), -((1 - p) ** gamma) * p.log())


def assert_loss(criterion: Any, model: Any, sample: Any, expected: Tensor) -> None:
    loss, _, log = criterion(model, sample)
    torch.testing.assert_close(loss.double(), expected.sum())
    table = model.decoder.table.weight
    torch.testing.assert_close(
        torch.autograd.grad(loss, table)[0], torch.autograd.grad(expected.sum(), table)[0]
    )
    # what is logged stays comparable
    p, _ = tokens(model, sample)
    assert log["nll_loss"].item() == pytest.approx(-p.log().sum().item(), rel=1e-5)
    torch.testing.assert_close(criterion(model, sample, reduce=False)[0].sum(), loss)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
def test_focal(task: Any, model: Any, sample: Any, gamma: float) -> None:
    p, _ = tokens(model, sample)
    criterion = criterion_of("focal", task, focal_gamma=gamma)
    assert_loss(criterion, model, sample, -((1 - p) ** gamma) * p.log())


RIVALS: dict[str, tuple[dict[str, float], Callable[[Tensor], Tensor]]] = {
    "dft": ({}, lambda p: -p.detach() * p.log()),
    "power": ({"power_exponent": 3.0}, lambda p: -(p**3)),
    "anti_focal": ({"anti_focal_gamma": 2.0}, lambda p: -((1 + p.detach()) ** 2) * p.log()),
    "tldr": ({}, lambda p: -((math.pi * p).cos() + 1) * p.log()),
    "mixce": ({"mixce_eta": 0.2}, lambda p: -(0.2 + 0.8 * p.detach()) * p.log()),
}


@pytest.mark.parametrize("name", RIVALS)
def test_rivals(task: Any, model: Any, sample: Any, name: str) -> None:
    p, _ = tokens(model, sample)
    options, loss = RIVALS[name]
    assert_loss(criterion_of(name, task, **options), model, sample, loss(p))


def test_halted_focal(task: Any, model: Any, sample: Any) -> None:
    p, _ = tokens(model, sample)
    phi = 0.1
    assert (p > phi).any()
    assert (p < phi).any()
    criterion = criterion_of("halted_focal", task, focal_gamma=2.0, halting_threshold=phi)
    assert_loss(criterion, model, sample, halted(p, 2.0, phi))


def test_halted_focal_for_the_rarest(task: Any, model: Any, sample: Any, target_counts: Tensor) -> None:
    p, target = tokens(model, sample)
    phi = 0.05
    criterion = criterion_of("halted_focal", task, halted_fraction=1 / 3, halting_threshold=phi)
    # of the six classes that occur a third; of equally rare ones the smaller index comes first
    order = sorted((int(count), index) for index, count in enumerate(target_counts) if count > 0)
    rarest = torch.tensor([index for _, index in order[:2]])
    is_rare = torch.isin(target, rarest)
    assert (is_rare & (p > phi)).any()
    assert (~is_rare).any()
    expected = torch.where(is_rare, halted(p, 2.0, phi), -((1 - p) ** 2) * p.log())
    assert_loss(criterion, model, sample, expected)


@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_class_balanced(task: Any, model: Any, sample: Any, target_counts: Tensor, gamma: float) -> None:
    p, target = tokens(model, sample)
    criterion = criterion_of("class_balanced", task, beta=0.9, focal_gamma=gamma)
    weight = balanced(target_counts, 0.9)[target]
    assert_loss(criterion, model, sample, -weight * (1 - p) ** gamma * p.log())


@pytest.mark.parametrize("name", ["inverse_frequency", "face"])
def test_other_class_weights(task: Any, model: Any, sample: Any, target_counts: Tensor, name: str) -> None:
    p, target = tokens(model, sample)
    options = {"class_weight": name, "class_weight_exponent": 0.4}
    counts = target_counts.double()
    weight = counts.clamp(min=1) ** -0.4 if name == "inverse_frequency" else 1 - counts / counts.max()
    weight = torch.where(counts > 0, weight, 0.0)
    weight = weight * counts.sum() / (weight * counts).sum()
    assert_loss(criterion_of("class_balanced", task, **options), model, sample, -weight[target] * p.log())


def test_face_of_the_output(task: Any, model: Any, sample: Any, target_counts: Tensor) -> None:
    """Weights of what the model chose in the updates before, which are summed over batches and processes."""
    metrics.reset()
    options = {"class_weight": "face", "face_counts": "output"}
    criterion = criterion_of("class_balanced", task, **options)
    p, target = tokens(model, sample)
    assert_loss(criterion, model, sample, -p.log())  # nothing was chosen before the first update
    logits = model(**sample["net_input"])[0]
    chosen = logits.argmax(-1)[sample["target"] != model.decoder.dictionary.pad()]
    counts = torch.tensor([3 * chosen.tolist().count(index) for index in range(logits.size(-1))]).double()
    with metrics.aggregate("train"):  # the first update: of two batches, the second one from two processes
        log = criterion(model, sample)[2]
        criterion.reduce_metrics([log, {**log, "chosen": 2 * log["chosen"]}])
    assert not any("chosen" in name for name in metrics.get_smoothed_values("train"))

    weight = torch.where(target_counts > 0, 1 - counts / counts.max(), 0.0)
    weight = weight * target_counts.sum() / (weight * target_counts).sum()
    assert len(weight[target].unique()) > 2
    torch.save(metrics.state_dict(), buffer := io.BytesIO())
    metrics.reset()
    resumed = criterion_of("class_balanced", task, **options)
    buffer.seek(0)
    metrics.load_state_dict(torch.load(buffer, weights_only=True))
    for one in (resumed, resumed.eval()):
        p, _ = tokens(model, sample)
        assert_loss(one, model, sample, -weight[target] * p.log())
    assert "chosen" not in resumed(model, sample)[2]  # a validation counts nothing
    metrics.reset()
    refused = (({"class_weight": "effective_number"}, "is for"), ({"fused_linear": True}, "--fused"))
    for other, named in refused:
        with pytest.raises(UserError, match=named):
            criterion_of("class_balanced", task, **{**options, **other})


def test_logit_adjusted(task: Any, model: Any, sample: Any, target_counts: Tensor) -> None:
    logits = model(**sample["net_input"])[0].double()
    prior = (target_counts.double().clamp(min=1) / target_counts.sum()).log()
    kept = sample["target"] != model.decoder.dictionary.pad()
    target = sample["target"][kept]
    expected = F.cross_entropy((logits + 0.7 * prior)[kept], target, reduction="none")
    # assert_loss holds the log against the plain likelihoods, which are those of the model
    assert_loss(criterion_of("logit_adjusted", task, logit_adjustment_tau=0.7), model, sample, expected)


def test_eureka_with_class_balanced_weights(
    task: Any, model: Any, sample: Any, target_counts: Tensor
) -> None:
    """EL + CB: the weight on the cross-entropy, the encouragement on the bonus."""
    p, target = tokens(model, sample)
    options = {"encouragement_start_epoch": 1, "beta": 0.5, "class_balanced_beta": 0.9}
    size = (1 - 0.5 ** target_counts.double()) / 0.5
    encouragement = size[target_counts > 0].mean() / size[target]
    expected = -balanced(target_counts, 0.9)[target] * p.log() + encouragement * (1 - p).log()
    assert_loss(criterion_of("eureka", task, **options), model, sample, expected)


@pytest.mark.parametrize("name", ["focal", "halted_focal", "class_balanced"])
def test_deferred(task: Any, model: Any, sample: Any, name: str) -> None:
    options = {"focal_gamma": 2.0, "loss_start_epoch": 3}
    p, _ = tokens(model, sample)
    before = criterion_of(name, task, epoch=2, **options)
    assert_loss(before, model, sample, -p.log())
    after = criterion_of(name, task, epoch=3, **options)
    assert after(model, sample)[0].item() != pytest.approx(-p.log().sum().item(), rel=1e-3)


BAD = {
    "gamma": ("focal", {"focal_gamma": -1.0}, "--focal-gamma"),
    "start": ("focal", {"loss_start_epoch": 0}, "--loss-start-epoch"),
    "smoothing": ("focal", {"label_smoothing": 1.0}, "--label-smoothing"),
    "threshold": ("halted_focal", {"halting_threshold": 1.0}, "--halting-threshold"),
    "fraction": ("halted_focal", {"halted_fraction": 1.5}, "--halted-fraction"),
    "beta": ("class_balanced", {"beta": 1.0}, "--beta"),
    "weights": ("eureka", {"class_balanced_beta": 1.0}, "--class-balanced-beta"),
    "accuracy": ("focal", {"fused_linear": True, "report_accuracy": True}, "--report-accuracy"),
}


@pytest.mark.parametrize(("name", "options", "named"), BAD.values(), ids=BAD)
def test_bad_options(task: Any, name: str, options: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named):
        criterion_of(name, task, **options)


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_fairseq_reads_the_types_of_the_fields(name: str) -> None:
    config = CONFIGS[name][1]
    parser = argparse.ArgumentParser()
    gen_parser_from_dataclass(parser, config())
    words = vars(parser.parse_args(["--label-smoothing", "0.1"]))
    read = OmegaConf.merge(OmegaConf.structured(config), words)
    default = OmegaConf.to_container(OmegaConf.structured(config))
    assert OmegaConf.to_container(read) == {**default, "label_smoothing": 0.1}


def test_fairseq_reads_the_options() -> None:
    """All of its steps, from the words of a command to what a criterion is given."""
    parser = options.get_training_parser()
    words = ["data", "--criterion", "eureka", "--arch", "lstm", "--label-smoothing", "0.1"]
    words += ["--bonus", "power", "--likelihood-cap", "0.9", "--beta", "0.5"]
    cfg = convert_namespace_to_omegaconf(options.parse_args_and_arch(parser, words)).criterion
    read = (cfg.label_smoothing, str(cfg.bonus), cfg.likelihood_cap, cfg.beta, cfg.bonus_threshold)
    assert read == (0.1, "power", 0.9, 0.5, None)
    with pytest.raises(SystemExit):
        options.parse_args_and_arch(parser, [*words, "--bonus", "reward"])

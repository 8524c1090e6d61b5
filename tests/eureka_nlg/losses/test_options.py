"""Options: declared once, checked when made, and the same on every surface."""

from __future__ import annotations

import inspect
import math
import pickle
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch

from eureka_nlg import losses
from eureka_nlg.errors import UserError
from eureka_nlg.frequency import (
    IMAGE_BETA,
    ClassBalancedOptions,
    ClassWeightOptions,
    EncouragementOptions,
    LogitAdjustmentOptions,
    MarginOptions,
    RarestOptions,
)
from eureka_nlg.losses.bonus import (
    CAPPED,
    Bonus,
    BonusOptions,
    OtherBonusOptions,
    bounding_options,
    eureka_options,
)
from eureka_nlg.losses.checks import Options as Shared
from eureka_nlg.losses.gem import GEM
from eureka_nlg.losses.modules import EurekaLoss, LogitsLoss, SigmoidLoss
from eureka_nlg.losses.objectives import (
    SCALAR_LOSSES,
    AntiFocal,
    Factor,
    Focal,
    HaltedFocal,
    Margins,
    MixedCrossEntropy,
    PowerOfLikelihood,
)
from eureka_nlg.losses.options import LabelSmoothing, options_of, same_as, with_options_of
from eureka_nlg.losses.sigmoid import Balance
from eureka_nlg.losses.unlikelihood import Unlikelihood
from eureka_nlg.options import BadOption, Options, option_fields

DECLARED: tuple[type[Options], ...] = (
    *SCALAR_LOSSES.values(),
    Bonus,
    EncouragementOptions,
    LabelSmoothing,
    Balance,
)


@pytest.mark.parametrize(
    ("value", "fits"),
    [(0.0, False), (1e-9, True), (1, True), (np.float32(0.5), True), (math.inf, False), (math.nan, False)]
    + [(value, False) for value in (True, None, "1", [1.0], np.ones(2))],
    ids=str,
)
def test_a_number_with_a_bound(value: Any, fits: bool) -> None:
    if fits:
        assert Bonus(gamma=value).gamma == value
        return
    with pytest.raises(BadOption, match="gamma must be a finite number above 0, got") as caught:
        Bonus(gamma=value)
    assert (caught.value.name, caught.value.expected) == ("gamma", "a finite number above 0")


def test_an_error_can_be_spelled_another_way_and_sent_to_another_process() -> None:
    error = BadOption("threshold", "a number in [0, 1)", 1.5).spelled("--bonus-threshold")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "--bonus-threshold must be a number in [0, 1), got 1.5"
    assert (again.name, again.expected, again.got) == ("--bonus-threshold", "a number in [0, 1)", 1.5)
    assert not isinstance(error, UserError)


def test_words_are_a_closed_set() -> None:
    with pytest.raises(BadOption, match="bonus must be 'likelihood' or 'power', got 'reward'"):
        Bonus(bonus="reward")  # type: ignore[arg-type]


NUMBERS: list[tuple[type[Options], str, float | None, str]] = [
    (ClassBalancedOptions, "beta", 0.999, "[0, 1)"),
    (RarestOptions, "fraction", 1, "[0, 1]"),
    (MarginOptions, "max_margin", 0.5, "[0, inf)"),
    (LogitAdjustmentOptions, "tau", 1, "[0, inf)"),
    (ClassWeightOptions, "exponent", 1, "[0, inf)"),
    (EncouragementOptions, "exponent", 1, "[0, 1]"),
    (EncouragementOptions, "scale", 1, "[0, inf)"),
    (LabelSmoothing, "label_smoothing", 0, "[0, 1]"),
    (Bonus, "gamma", 1, "(0, inf)"),
    (Bonus, "threshold", None, "[0, 1)"),
    (Bonus, "likelihood_cap", None, "(0, 1)"),
    (Bonus, "likelihood_clamp", None, "(0, 1)"),
    (Focal, "gamma", 2, "[0, inf)"),
    (HaltedFocal, "threshold", 0.5, "(0, 1)"),
    (PowerOfLikelihood, "exponent", 1, "(0, inf)"),
    (AntiFocal, "gamma", 1, "[0, inf)"),
    (MixedCrossEntropy, "eta", 0.5, "[0, 1]"),
    (Factor, "alpha", 1, "[0, inf)"),
    (Margins, "scale", 30, "(0, inf)"),
    (GEM, "temperature", 0.7, "(0, inf)"),
    (Unlikelihood, "alpha", 1, "[0, inf)"),
]


@pytest.mark.parametrize(("cls", "name", "default", "interval"), NUMBERS)
def test_the_default_and_the_bounds_of_a_number(
    cls: type[Options], name: str, default: float | None, interval: str
) -> None:
    """As the papers and the documents give them."""
    assert getattr(cls(), name) == default
    low, high = (float(end) for end in interval[1:-1].split(","))
    inside = [min(low + 1e-9, high), max(low, min(high, 1e9) - 1e-9), 0.5]
    outside = [low - 1e-9, high + 1e-9, math.nan, math.inf]
    (inside if interval[0] == "[" else outside).append(low)
    (inside if interval[-1] == "]" else outside).append(high)
    for value in inside:
        assert getattr(cls(**{name: value}), name) == value
    for value in outside:
        with pytest.raises(BadOption, match=f"{name} must be"):
            cls(**{name: value})


def test_every_number_of_the_losses_is_in_the_table() -> None:
    listed = {(cls, name) for cls, name, *_ in NUMBERS}
    for cls in (*DECLARED, Factor, Margins, GEM, Unlikelihood):
        for declared in option_fields(cls).values():
            is_number = not declared.metadata["rule"].choices
            owner = next(one for one in reversed(cls.__mro__) if declared.name in vars(one).get("_rules", {}))
            assert not is_number or (owner, declared.name) in listed or cls is Balance, (cls, declared.name)


@pytest.mark.parametrize("cls", DECLARED, ids=lambda cls: cls.__name__)
def test_every_option_is_described(cls: type[Options]) -> None:
    hints = get_type_hints(cls)
    for name, declared in option_fields(cls).items():
        assert declared.name in hints
        assert len(declared.metadata["help"]) > 5
        assert not declared.metadata["help"].endswith("."), name
    cls()  # the defaults are allowed


@dataclass
@with_options_of(Focal, Bonus, EncouragementOptions, defaults={"beta": 0.5}, without=("likelihood_clamp",))
class Config:
    """As the configs of images and of fairseq are made."""

    name: str = "eureka"
    bonus_gamma: float = same_as(Bonus, "bonus_gamma", default=4.0)


def test_a_config_has_the_options_under_names_of_their_own() -> None:
    config: Any = Config(likelihood_cap=0.9, focal_gamma=3.0)  # type: ignore[call-arg]
    assert {field.name for field in fields(Config)} == {
        *("name", "focal_gamma", "bonus", "bonus_gamma", "bonus_threshold", "likelihood_cap", "beta"),
        *("encouragement_measure", "encouragement_normalization", "encouragement_exponent"),
        "encouragement_scale",
    }
    assert options_of(config, Bonus) == Bonus(gamma=4.0, likelihood_cap=0.9)
    assert options_of(config, Focal) == Focal(3.0)
    assert options_of(config, EncouragementOptions) == EncouragementOptions(0.5)
    assert options_of({"focal_gamma": 1.0}, Focal) == Focal(1.0)
    help_texts = {field.name: field.metadata.get("help") for field in fields(Config)}
    assert help_texts["bonus_gamma"] == option_fields(Bonus)["bonus_gamma"].metadata["help"]
    config.bonus_threshold = 2.0
    with pytest.raises(BadOption, match="bonus_threshold must be"):
        options_of(config, Bonus)
    with pytest.raises(BadOption, match="start must be"):
        options_of({"start": 2.0}, Bonus, threshold="start")


@pytest.mark.parametrize("defaults", [None, {}, {"beta": 0.5}, {"bonus_gamma": 2.0, "beta": 0.5}])
def test_defaults_that_differ_from_the_declared_ones(defaults: dict[str, Any] | None) -> None:
    @dataclass
    @with_options_of(Focal, Bonus, EncouragementOptions, defaults=defaults)
    class Made:
        bonus: str = "power"
        more: int = 3

    made: Any = Made()
    expected = {"beta": EncouragementOptions().beta, "bonus_gamma": Bonus().gamma} | (defaults or {})
    assert {name: getattr(made, name) for name in expected} == expected
    assert (made.bonus, made.more, made.focal_gamma) == ("power", 3, Focal().gamma)
    hints = inspect.get_annotations(Made)
    assert list(hints)[:3] == ["bonus", "more", "focal_gamma"]
    assert hints["beta"] is float


def test_one_default_of_beta_and_one_exception() -> None:
    from eureka_nlg import frequency

    default = ClassBalancedOptions().beta
    assert EncouragementOptions().beta == default == 0.999
    assert IMAGE_BETA == 0.9999
    for function in (frequency.encouragement, frequency.class_balanced_weight, EurekaLoss.from_counts):
        assert inspect.signature(function).parameters["beta"].default == default


def test_a_module_that_is_changed_checks_again_and_a_weight_that_comes_later_moves_along() -> None:
    module = EurekaLoss(threshold=0.5)
    module.threshold = 1.5
    with pytest.raises(BadOption, match="threshold"):
        module(torch.zeros(1, 2), torch.zeros(1, dtype=torch.long))
    module = EurekaLoss()
    module.weight = torch.rand(2)
    assert "weight" in dict(module.named_buffers())
    assert "weight" in module.state_dict()
    assert module.to("meta").weight.device.type == "meta"


def test_presets_are_what_their_authors_compute() -> None:
    counts, p = [9, 3, 0, 1], torch.tensor([0.2, 0.9, 0.999999], dtype=torch.float64)
    log_odds = p.logit()
    released = EurekaLoss.preset("released", counts, beta=0.9)
    inverse = [1 / sum(0.9**power for power in range(count)) if count else 0.0 for count in counts]
    mean = sum(inverse) / 3
    assert released.encouragement.tolist() == pytest.approx([weight / mean for weight in inverse])
    bonus = released.made(Bonus)(log_odds)
    torch.testing.assert_close(bonus, (1 - p).clamp(min=1e-5).log())
    for name, end in (("encouraging", 0.75), ("encouraging_low", 0.5)):
        module = EurekaLoss.preset(name, counts, reduction="sum")
        assert module.encouragement.tolist() == [1, 1, 0, 1]
        assert module.reduction == "sum"
        linear = math.log(1 - end) - (p - end) / (1 - end)
        torch.testing.assert_close(module.made(Bonus)(log_odds), torch.where(p > end, linear, (1 - p).log()))
    linear = math.log(1 - 0.9) - (p - 0.9) / (1 - 0.9)
    printed = EurekaLoss.from_counts(counts, beta=0.9).encouragement
    for name, scale in (("recommended_images", 1), ("recommended_text", 16)):
        module = EurekaLoss.preset(name, counts, beta=0.9)
        torch.testing.assert_close(module.encouragement, scale * printed)
        bonus = module.made(Bonus)(log_odds)
        torch.testing.assert_close(bonus, torch.where(p > 0.9, linear, (1 - p).log()))
    assert EurekaLoss.preset("printed", counts).encouragement.equal(
        EurekaLoss.from_counts(counts).encouragement
    )
    assert EurekaLoss.preset("released", counts, likelihood_clamp=0.9).likelihood_clamp == 0.9
    with pytest.raises(BadOption, match="preset must be 'printed', "):
        EurekaLoss.preset("paper", counts)


def test_an_option_that_is_given_wins_over_the_preset() -> None:
    encouragement, bonus = eureka_options({"preset": "released", "beta": 0.5, "likelihood_clamp": 0.9})
    assert encouragement == EncouragementOptions(0.5, normalization="mean_weight")
    assert bonus == Bonus(likelihood_clamp=0.9)
    assert eureka_options({}) == (EncouragementOptions(), Bonus())


SHARED = {"weight": None, "ignore_index": -100, "reduction": "mean", "label_smoothing": 0.0, "impl": "auto"}
BY_SIGMOIDS = {"alpha": 0.25, "reduction": "none", "ignore_index": None}
OWN: dict[str, dict[str, Any]] = {
    "eureka_loss EurekaLoss": {"gamma": 1.0, **SHARED},
    "linear_eureka_loss LinearEurekaLoss vocabulary_parallel_eureka_loss": {
        "gamma": 1.0,
        **{name: value for name, value in SHARED.items() if name != "impl"},
    },
    "eureka_loss_from_log_probs": {"gamma": 1.0, "weight": None, "ignore_index": -100, "reduction": "mean"},
    "focal_loss FocalLoss": {"gamma": 2.0, "alpha": 1.0, **SHARED},
    "halted_focal_loss HaltedFocalLoss": {"gamma": 2.0, "threshold": 0.5, "alpha": 1.0, **SHARED},
    "ldam_loss LDAMLoss": {"max_margin": 0.5, "scale": 30.0, **SHARED},
    "gem_loss GEMLoss": {"temperature": 0.7, "contrast": "linear", **SHARED},
    "unlikelihood_loss UnlikelihoodLoss": {"alpha": 1.0, **SHARED},
    "dft_loss DFTLoss tldr_loss TLDRLoss": SHARED,
    "power_loss PowerLoss": {"exponent": 1.0, **SHARED},
    "anti_focal_loss AntiFocalLoss": {"gamma": 1.0, **SHARED},
    "mixce_loss MixCELoss": {"eta": 0.5, **SHARED},
    "logit_adjusted_loss LogitAdjustedLoss": {"tau": 1.0, **SHARED},
    "sigmoid_focal_loss SigmoidFocalLoss": {"gamma": 2.0, **BY_SIGMOIDS},
    "sigmoid_halted_focal_loss SigmoidHaltedFocalLoss": {"gamma": 2.0, "threshold": 0.5, **BY_SIGMOIDS},
    "sigmoid_eureka_loss SigmoidEurekaLoss": {"gamma": 2.0, "bonus_gamma": 1.0, **BY_SIGMOIDS},
    "previous_tokens": {"ignore_index": -100},
}


@pytest.mark.parametrize(
    ("name", "defaults"), [(name, defaults) for names, defaults in OWN.items() for name in names.split()]
)
def test_the_defaults_of_a_function_or_module_are_those_of_the_documents(
    name: str, defaults: dict[str, Any]
) -> None:
    shown = inspect.signature(getattr(losses, name)).parameters
    assert {option: shown[option].default for option in defaults} == defaults


def test_modules_share_the_defaults_of_the_functions() -> None:
    assert Shared()._asdict() == SHARED
    module = losses.FocalLoss()
    assert {name: getattr(module, name) for name in SHARED} == SHARED


def test_the_defaults_of_the_weights_from_counts() -> None:
    shown = inspect.signature(EurekaLoss.from_counts).parameters
    assert (shown["beta"].default, shown["exponent"].default, shown["scale"].default) == (0.999, 1.0, 1.0)
    assert EurekaLoss.from_counts([1, 3], measure="count").encouragement.tolist() == pytest.approx([2, 2 / 3])


def test_an_unknown_argument_is_named() -> None:
    with pytest.raises(TypeError, match=r"EurekaLoss.*'likelihod_cap'"):
        EurekaLoss(likelihod_cap=0.9)  # type: ignore[call-arg]


def test_every_function_and_module_shows_each_option_with_its_default() -> None:
    declared = {one.name: one.default for one in fields(Bonus)}
    own_default = {"eureka_loss_from_log_probs": CAPPED}
    renamed = {"SigmoidEurekaLoss": {"gamma": "bonus_gamma"}, "sigmoid_eureka_loss": {"gamma": "bonus_gamma"}}
    takers = [name for name in losses.__all__ if "eureka" in name.lower()]
    assert len(takers) == 8
    for name in takers:
        shown = inspect.signature(getattr(losses, name)).parameters
        for option, default in {**declared, **own_default.get(name, {})}.items():
            parameter = shown[renamed.get(name, {}).get(option, option)]
            assert (parameter.kind, parameter.default) == (parameter.KEYWORD_ONLY, default), (name, option)
    for name in losses.__all__:
        taker = getattr(losses, name)
        if taker not in (LogitsLoss, SigmoidLoss):  # whose arguments are those of a loss that they are given
            kinds = {one.kind for one in inspect.signature(taker).parameters.values()}
            assert inspect.Parameter.VAR_KEYWORD not in kinds, name
    shown = inspect.signature(EurekaLoss.from_counts).parameters
    assert list(shown)[:2] == ["class_counts", "beta"]
    assert {*declared, "impl", "weight"} < set(shown)
    hints = get_type_hints(Bonus)  # what type checkers read is what is declared
    assert get_type_hints(BonusOptions) == {name: hints[name] for name in declared}
    assert {*get_type_hints(OtherBonusOptions), "gamma"} == set(declared)


LOGITS, TARGET = torch.zeros(2, 3), torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda **options: losses.eureka_loss(LOGITS, TARGET, **options), "eureka_loss"),
        (
            lambda **options: losses.linear_eureka_loss(LOGITS, torch.eye(3), TARGET, **options),
            "linear_eureka_loss",
        ),
        (
            lambda **options: losses.eureka_loss_from_log_probs(LOGITS[:, 0], TARGET, **options),
            "eureka_loss_from_log_probs",
        ),
        (lambda **options: losses.sigmoid_eureka_loss(LOGITS, LOGITS, **options), "sigmoid_eureka_loss"),
        (losses.EurekaLoss, "EurekaLoss"),
        (losses.SigmoidEurekaLoss, "SigmoidEurekaLoss"),
        (losses.FocalLoss, "FocalLoss"),
    ],
)
def test_an_unknown_option_is_named_with_the_function_that_got_it(call: Any, name: str) -> None:
    with pytest.raises(TypeError, match=rf"{name}\(\) got an unexpected keyword argument 'likelyhood_cap'"):
        call(likelyhood_cap=0.9)


def test_advice_names_options_that_bound_the_loss() -> None:
    from eureka_nlg.vision.classification.task import Classification
    from eureka_nlg.vision.detection.task import Detection

    advice = dict(one.split("=") for one in bounding_options().split(" or "))
    for name, value in advice.items():
        assert Bonus(**{name: float(value)}).is_bounded
        for task in (Classification, Detection):
            assert f"loss.{name}={value}" in task.remedies
    assert not Bonus().is_bounded


def test_a_loss_that_depends_on_its_options_alone_is_written_in_three_files() -> None:
    root = Path(losses.__file__).parents[2]
    sources = [*(root / "eureka_nlg").rglob("*.py"), *(root / "fairseq_plugins").rglob("*.py")]
    for cls in (AntiFocal, MixedCrossEntropy, PowerOfLikelihood):
        naming = [path.name for path in sources if cls.__name__ in path.read_text(encoding="utf-8")]
        assert sorted(naming) == ["baselines.py", "objectives.py", "rivals.py"]

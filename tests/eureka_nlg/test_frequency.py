"""Class weights against exact rational arithmetic and numbers worked by hand."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eureka_nlg.frequency import (
    ClassWeightOptions,
    LogitAdjustmentOptions,
    MarginOptions,
    check_class_counts,
    class_balanced_weight,
    effective_number,
    encouragement,
    face_weight,
    inverse_frequency_weight,
    ldam_margins,
    log_prior,
    rarest_classes,
)
from eureka_nlg.metrics import group_accuracy

COUNTS = st.lists(st.integers(0, 300), min_size=1, max_size=30).filter(any)
BETAS = st.sampled_from([0.0, 0.5, 0.9, 0.999, 0.9999, 0.999999])


def exact_effective_number(count: int, beta: float) -> Fraction:
    """The sum 1 + beta + ... + beta ** (count - 1), which is what the closed form sums up to."""
    exact_beta = Fraction(beta)
    return (1 - exact_beta**count) / (1 - exact_beta)


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.9, 0.999, 0.9999, 0.999999])
def test_effective_number_is_exact(beta: float) -> None:
    counts = [1, 2, 3, 10, 999, 2000]
    expected = [float(exact_effective_number(count, beta)) for count in counts]
    actual = effective_number(counts, beta)
    assert actual.dtype == torch.float64
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=torch.float64), rtol=1e-13, atol=0)


def test_effective_number_of_one_is_one_where_float32_is_not() -> None:
    beta = 0.9999
    naive = (1 - torch.tensor(beta) ** 1) / (1 - beta)
    assert abs(naive.item() - 1) > 1e-5  # the reason for float64
    assert effective_number([1], beta).item() == pytest.approx(1.0, rel=1e-14)


def test_effective_number_at_the_ends_of_beta() -> None:
    counts = [0, 1, 5, 1000]
    assert effective_number(counts, 0.0).tolist() == [0, 1, 1, 1]
    # 1 + beta for two examples: nothing is lost however small beta is
    for beta in (1e-300, 1e-17, 1e-5):
        assert effective_number([0, 1, 2], beta).tolist() == pytest.approx([0, 1, 1 + beta], rel=1e-15)
    almost_one = math.nextafter(1.0, 0.0)
    torch.testing.assert_close(
        effective_number(counts, almost_one), torch.tensor(counts, dtype=torch.float64), rtol=1e-12, atol=0
    )


def test_effective_number_of_huge_counts_is_the_limit() -> None:
    assert effective_number([10**15], 0.999).item() == pytest.approx(1000, rel=1e-12)


def test_encouragement_by_hand() -> None:
    # beta 0.5: E = 1, 1.5, 1.75; mean 17/12; Eq. 9
    weights = encouragement([1, 2, 3], beta=0.5)
    assert weights.dtype == torch.float32
    assert weights.tolist() == pytest.approx([17 / 12, 17 / 18, 17 / 21])
    # 1/E = 1, 2/3, 4/7; their mean is 47/63
    weights = encouragement([1, 2, 3], beta=0.5, normalization="mean_weight")
    assert weights.tolist() == pytest.approx([63 / 47, 42 / 47, 36 / 47])
    # counts 1, 3, 8; mean 4
    assert encouragement([1, 3, 8], measure="count").tolist() == pytest.approx([4, 4 / 3, 1 / 2])
    # 1/m = 1, 1/3, 1/8; their mean is 35/72
    weights = encouragement([1, 3, 8], measure="count", normalization="mean_weight")
    assert weights.tolist() == pytest.approx([72 / 35, 24 / 35, 9 / 35])


def test_other_encouragements_by_hand() -> None:
    # 1/E = 2/3, 4/7, of which the first becomes one
    weights = encouragement([2, 3, 0], beta=0.5, normalization="max_weight")
    assert weights.tolist() == pytest.approx([1, 6 / 7, 0])
    # roots of the counts: 1, 2, 3; their mean is 2
    weights = encouragement([1, 4, 9, 0], measure="count", exponent=0.5)
    assert weights.tolist() == pytest.approx([2, 1, 2 / 3, 0])
    for exponent, measure in ((0.0, "count"), (1.0, "one")):
        same = encouragement([1, 4, 0], measure=measure, exponent=exponent, scale=3.0)
        assert same.tolist() == [3, 3, 0]


@pytest.mark.parametrize("option", [{"exponent": 1.5}, {"exponent": -0.1}, {"scale": -1.0}], ids=str)
def test_options_out_of_bounds(option: dict[str, float]) -> None:
    name, value = next(iter(option.items()))
    with pytest.raises(ValueError, match=f"{name} must be .*{value}"):
        encouragement([1, 2], **option)


def test_class_balanced_weight_over_the_examples() -> None:
    # weights 1, 2/3, 4/7 of 1, 2 and 3 examples: 1 + 4/3 + 12/7 = 85/21 in all, 85/126 in the mean
    weights = class_balanced_weight([1, 2, 3, 0], beta=0.5, mean_over="examples")
    assert weights.tolist() == pytest.approx([126 / 85, 84 / 85, 72 / 85, 0])
    with pytest.raises(ValueError, match="mean_over must be 'classes' or 'examples', got 'words'"):
        class_balanced_weight([1], mean_over="words")


def test_inverse_frequency_by_hand() -> None:
    # 1, 1/2, 1/3 of 1, 4 and 9 examples; their mean is 11/18, and 1 + 2 + 3 = 6 over 14 examples
    weights = inverse_frequency_weight([1, 4, 9, 0], 0.5)
    assert weights.tolist() == pytest.approx([18 / 11, 9 / 11, 6 / 11, 0])
    weights = inverse_frequency_weight([1, 4, 9, 0], 0.5, mean_over="examples")
    assert weights.tolist() == pytest.approx([14 / 6, 7 / 6, 14 / 18, 0])
    with pytest.raises(ValueError, match=r"exponent.*-1\.0"):
        inverse_frequency_weight([1], -1.0)


def test_face_by_hand() -> None:
    # 1 - m / 8 = 0, 1/2, 7/8; their mean is 11/24, and 0 + 4/2 + 7/8 = 23/8 over 13 examples
    assert face_weight([8, 4, 1, 0]).tolist() == pytest.approx([0, 12 / 11, 21 / 11, 0])
    weights = face_weight([8, 4, 1, 0], mean_over="examples")
    assert weights.tolist() == pytest.approx([0, 13 * 4 / 23, 13 * 7 / 23, 0])
    assert face_weight([5, 0, 5]).tolist() == [1, 0, 1]  # where the formula is 0 / 0


def test_face_of_the_output_by_hand() -> None:
    # 1 - n / 1 = 0, 1, 1 where class 0 has been chosen once; the last class never occurs
    weights = face_weight([8, 4, 1, 0], output_counts=[1, 0, 0, 0])
    assert weights.tolist() == pytest.approx([0, 3 / 2, 3 / 2, 0])
    # 1 - n / 4 = 1/2, 0, 3/4; their mean is 5/12
    weights = face_weight([8, 4, 1], output_counts=torch.tensor([2, 4, 1]))
    assert weights.tolist() == pytest.approx([6 / 5, 0, 9 / 5])
    # before the first choice, the largest count is 0 too
    assert face_weight([8, 4, 1, 0], output_counts=[0, 0, 0, 0]).tolist() == [1, 1, 1, 0]
    assert face_weight([1, 1, 0]).tolist() == [1, 1, 0]
    with pytest.raises(ValueError, match=r"output_counts must have 2 entries.*got \[3\]"):
        face_weight([8, 4], output_counts=[1, 2, 3])


def test_defaults_are_those_of_the_documents() -> None:
    # 1/m of 1 and 4 examples, whose mean is 5/8
    weights = ClassWeightOptions(class_weight="inverse_frequency").of([1, 4])
    assert weights.tolist() == inverse_frequency_weight([1, 4]).tolist() == pytest.approx([8 / 5, 2 / 5])
    assert ldam_margins([1]).tolist() == [MarginOptions().max_margin] == [0.5]
    assert log_prior([3, 1]).tolist() == pytest.approx([math.log(3 / 4), math.log(1 / 4)])
    assert LogitAdjustmentOptions().tau == 1


def test_class_weights_by_name() -> None:
    counts = [8, 4, 1, 0]
    assert ClassWeightOptions(0.9).of(counts).equal(class_balanced_weight(counts, 0.9))
    assert ClassWeightOptions(class_weight="face").of(counts).equal(face_weight(counts))
    by_frequency = ClassWeightOptions(class_weight="inverse_frequency", exponent=0.3)
    assert by_frequency.of(counts, mean_over="examples").equal(
        inverse_frequency_weight(counts, 0.3, mean_over="examples")
    )


def test_log_prior_by_hand() -> None:
    expected = [math.log(0.75) * 2, math.log(0.25) * 2, math.log(1 / 4) * 2]
    assert log_prior([3, 1, 0], 2.0).tolist() == pytest.approx(expected)
    assert log_prior([3, 1], 0.0).tolist() == [0, 0]
    with pytest.raises(ValueError, match=r"tau.*-1\.0"):
        log_prior([1], -1.0)


def test_default_beta_is_the_papers() -> None:
    assert encouragement([5, 7]).equal(encouragement([5, 7], 0.999))
    assert class_balanced_weight([5, 7]).equal(class_balanced_weight([5, 7], 0.999))


@pytest.mark.parametrize("normalization", ["mean_measure", "mean_weight"])
@pytest.mark.parametrize("measure", ["effective_number", "count"])
def test_classes_that_never_occur(measure: str, normalization: str) -> None:
    options = {"measure": measure, "normalization": normalization}
    with_zeros = encouragement([0, 4, 0, 9, 1], 0.9, **options)
    without = encouragement([4, 9, 1], 0.9, **options)
    assert with_zeros[[0, 2]].tolist() == [0, 0]
    assert with_zeros[[1, 3, 4]].equal(without)


def test_one_class() -> None:
    assert encouragement([7]).tolist() == [1]
    assert class_balanced_weight([7]).tolist() == [1]


def test_class_balanced_weight_by_hand() -> None:
    # Cui et al.: 1/E scaled so that the weights of the classes sum to their number; zeros stand aside
    weights = class_balanced_weight([1, 0, 2, 3], beta=0.5)
    assert weights.tolist() == pytest.approx([63 / 47, 0, 42 / 47, 36 / 47])


@given(counts=COUNTS, beta=BETAS)
def test_encouragement_properties(counts: list[int], beta: float) -> None:
    counts_tensor = torch.tensor(counts)
    occurring = counts_tensor > 0
    weights = encouragement(counts, beta, dtype=torch.float64)
    # from Eq. 9: w_c E_c is the same for all classes, and is the mean of E over those that occur
    exact = [exact_effective_number(count, beta) for count in counts]
    mean = float(sum(exact) / int(occurring.sum()))
    products = weights * torch.tensor([float(number) for number in exact], dtype=torch.float64)
    assert products[occurring].tolist() == pytest.approx([mean] * int(occurring.sum()), rel=1e-9)
    assert not weights[~occurring].any()
    # the rarer, the larger
    by_count = weights[occurring][counts_tensor[occurring].argsort()]
    assert (by_count.diff() <= 1e-9 * by_count[1:]).all()
    # the other normalisation: mean one, and a constant factor away
    other = encouragement(counts, beta, normalization="mean_weight", dtype=torch.float64)
    assert other[occurring].mean().item() == pytest.approx(1)
    ratio = (other / weights)[occurring]
    assert ratio.tolist() == pytest.approx([ratio[0].item()] * len(ratio))
    torch.testing.assert_close(class_balanced_weight(counts, beta, dtype=torch.float64), other)


@given(counts=COUNTS, fraction=st.floats(0, 1))
def test_rarest_classes_properties(counts: list[int], fraction: float) -> None:
    chosen = rarest_classes(counts, fraction)
    assert chosen.dtype == torch.bool
    assert chosen.shape == (len(counts),)
    rare = [count for count, is_chosen in zip(counts, chosen.tolist()) if is_chosen]
    rest = [count for count, is_chosen in zip(counts, chosen.tolist()) if not is_chosen and count > 0]
    assert abs(len(rare) - fraction * (len(rare) + len(rest))) <= 0.5 + 1e-9
    assert 0 not in rare
    assert not rare or not rest or max(rare) <= min(rest)


def test_rarest_classes_by_hand() -> None:
    counts = [10, 1, 0, 5, 5, 200]
    assert rarest_classes(counts, 0.0).tolist() == [False] * 6
    assert rarest_classes(counts, 0.4).tolist() == [
        False,
        True,
        False,
        True,
        False,
        False,
    ]  # tie: first index
    assert rarest_classes(counts, 1.0).tolist() == [True, True, False, True, True, True]
    # of many equal ones, too, for which an unstable order would differ
    assert rarest_classes([7] * 100, 0.3).tolist() == [True] * 30 + [False] * 70


def test_margins_by_hand() -> None:
    # m ** -1/4 = 1/2, 1/3, 1, scaled so that the rarest class has the largest margin
    margins = ldam_margins([16, 81, 0, 1])
    assert margins.dtype == torch.float32
    assert margins.tolist() == pytest.approx([1 / 4, 1 / 6, 0, 1 / 2])
    # without a class of one example: 1/2 and 1/3 scaled by 2 * 0.3
    assert ldam_margins([16, 81], max_margin=0.3).tolist() == pytest.approx([0.3, 0.2])
    assert not ldam_margins([16, 81], max_margin=0.0).any()
    for margin in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"max_margin.*{margin}"):
            ldam_margins([1, 2], margin)


@given(counts=COUNTS)
def test_margins_properties(counts: list[int]) -> None:
    margins = ldam_margins(counts, 0.7, dtype=torch.float64).tolist()
    rarest = min(count for count in counts if count > 0)
    assert margins == pytest.approx([0.7 * (rarest / count) ** 0.25 if count else 0.0 for count in counts])


@pytest.mark.parametrize(
    "counts",
    [
        (3, 1, 0),
        torch.tensor([3, 1, 0]),
        torch.tensor([3.0, 1.0, 0.0]),
        np.array([3, 1, 0], dtype=np.int32),
        np.array([3, 1, 0], dtype=np.uint16),
    ],
    ids=["tuple", "int tensor", "float tensor", "int32 array", "uint16 array"],
)
def test_any_kind_of_counts(counts: object) -> None:
    torch.testing.assert_close(encouragement(counts, 0.9), encouragement([3, 1, 0], 0.9))
    assert check_class_counts(counts).tolist() == [3, 1, 0]


def test_the_largest_count_is_the_last_that_float64_tells_from_the_next() -> None:
    assert check_class_counts([2**53]).tolist() == [2**53]
    assert check_class_counts([10**15]).tolist() == [10**15]
    with pytest.raises(ValueError, match="class 1"):
        check_class_counts([1, 2**53 + 2])


LABELS = [3, 0, 3, 0, 3, 1]


@pytest.mark.parametrize("kind", ["Counter", "dict", "Series", "Series of floats"])
def test_counts_that_carry_their_classes(kind: str) -> None:
    """Which stand in order of frequency there, and class 2 not at all."""
    if kind.startswith("Series"):
        pandas = pytest.importorskip("pandas")
        counts = pandas.Series(LABELS, dtype=float if "floats" in kind else int).value_counts()
    else:
        counts = Counter(LABELS) if kind == "Counter" else {3: 3, 0: 2, 1: 1}
    assert check_class_counts(counts).tolist() == [2, 1, 0, 3]
    torch.testing.assert_close(face_weight(counts), face_weight([2, 1, 0, 3]))
    accuracy = group_accuracy([3, 0], [3, 1], counts, many=2, few=1)
    assert accuracy[:3] == (50.0, 100.0, 0.0)  # class 3 is in "many"


@pytest.mark.parametrize("label", ["cat", -1, 0.5, float("nan"), None, 10**12, (1, 2)])
def test_labels_that_are_no_class(label: object) -> None:
    for function in (check_class_counts, lambda counts: group_accuracy([0], [0], counts)):
        with pytest.raises(ValueError, match=r"class_counts has the label .*order of the classes.*reindex"):
            function({0: 3, label: 2})


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_dtype_of_the_weights(dtype: torch.dtype) -> None:
    for function in (encouragement, class_balanced_weight, ldam_margins):
        exact = function([3, 1, 0], 0.9, dtype=torch.float64)
        assert function([3, 1, 0], 0.9, dtype=dtype).equal(exact.to(dtype))


FUNCTIONS = [
    effective_number,
    encouragement,
    class_balanced_weight,
    lambda counts, _: rarest_classes(counts, 0.5),
    ldam_margins,
]
NAMES = ["effective_number", "encouragement", "class_balanced_weight", "rarest_classes", "ldam_margins"]


@pytest.mark.parametrize("function", FUNCTIONS, ids=NAMES)
@pytest.mark.parametrize(
    ("counts", "named"),
    [
        ([4, -3, 1], "-3.* class 1"),
        ([4, 1, 2.5], r"2\.5.* class 2"),
        ([1234567.5], r"1234567\.5.* class 0"),
        ([float("nan"), 1], "nan.* class 0"),
        ([1, float("inf")], "inf.* class 1"),
        ([0, 0, 0], "zero for all of the 3"),
        ([], r"non-empty.*\[0\]"),
        ([[1, 2], [3, 4]], r"\[2, 2\]"),
        (5, "shape"),
        (["a"], "sequence of non-negative integers"),
        (None, "sequence of non-negative integers"),
        ([2**80], "class_counts"),
    ],
    ids=str,
)
def test_bad_counts(function: object, counts: object, named: str) -> None:
    with pytest.raises(ValueError, match=named) as caught:
        function(counts, 0.9)  # type: ignore[operator]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("function", FUNCTIONS[:3], ids=NAMES[:3])
@pytest.mark.parametrize("beta", [1.0, 1, -0.1, 1.5, float("nan"), float("inf")])
def test_bad_beta(function: object, beta: float) -> None:
    with pytest.raises(ValueError, match=f"beta.*{beta}"):
        function([1, 2], beta)  # type: ignore[operator]


def test_bad_beta_is_named_also_where_it_has_no_effect() -> None:
    with pytest.raises(ValueError, match=r"beta.*1\.0"):
        encouragement([1, 2], 1.0, measure="count")


def test_bad_names_and_fractions() -> None:
    with pytest.raises(ValueError, match=r"measure.*'frequency'"):
        encouragement([1], measure="frequency")
    with pytest.raises(ValueError, match=r"normalization.*'max'"):
        encouragement([1], normalization="max")
    for fraction in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=f"fraction.*{fraction}"):
            rarest_classes([1, 2], fraction)

"""Orders of images: what is drawn how often, and that nothing but the key decides."""

from __future__ import annotations

import pytest
import torch

from eureka_nlg.vision.data.order import class_probabilities, epoch_order, generator, seeds_of_images

LABELS = torch.tensor([0] * 800 + [2] * 40 + [1] * 160)


def test_instance_is_a_permutation() -> None:
    order = epoch_order(LABELS, "instance", seed=1, epoch=1)
    assert sorted(order.tolist()) == list(range(1000))


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        ("class_balanced", [1 / 3, 1 / 3, 1 / 3]),
        # sqrt of 800, 160, 40 is 28.28, 12.65, 6.32
        ("square_root", [0.5985, 0.2677, 0.1338]),
        # 1/800 : 1/160 : 1/40 is 1 : 5 : 20
        ("reversed", [1 / 26, 5 / 26, 20 / 26]),
    ],
)
def test_share_of_each_class(draw: str, expected: list[float]) -> None:
    assert class_probabilities(LABELS.bincount(), draw).tolist() == pytest.approx(expected, abs=1e-4)
    drawn = torch.cat([epoch_order(LABELS, draw, seed=3, epoch=epoch) for epoch in range(1, 21)])
    share = LABELS[drawn].bincount(minlength=3) / len(drawn)
    # 20,000 draws: four standard deviations are at most 4 * sqrt(0.25 / 20000) = 0.014
    assert share.tolist() == pytest.approx(expected, abs=0.015)
    # every image of the rarest class turns up, about equally often
    of_rarest = drawn[LABELS[drawn] == 2].bincount(minlength=1000)[800:840]
    assert of_rarest.min() > 0.5 * of_rarest.float().mean()
    assert of_rarest.max() < 2 * of_rarest.float().mean()


def test_a_class_without_images_is_never_drawn() -> None:
    labels = torch.tensor([0, 0, 3])
    drawn = labels[epoch_order(labels.repeat(50), "reversed", seed=1, epoch=1) % 3]
    assert set(drawn.tolist()) == {0, 3}


def test_only_the_key_decides() -> None:
    order = epoch_order(LABELS, "class_balanced", seed=1, epoch=5)
    torch.manual_seed(123)
    state = torch.get_rng_state()
    assert torch.equal(order, epoch_order(LABELS, "class_balanced", seed=1, epoch=5))
    assert torch.equal(state, torch.get_rng_state())
    others = [
        epoch_order(LABELS, "class_balanced", seed=2, epoch=5),
        epoch_order(LABELS, "class_balanced", seed=1, epoch=6),
        epoch_order(LABELS, "class_balanced", seed=1, epoch=5, stream="reversed order"),
    ]
    for other in others:
        assert (other == order).float().mean() < 0.5


def test_generators_of_different_keys_differ() -> None:
    keys = [(1, "crops", 1, 0), (1, "crops", 1, 1), (1, "crops", 2, 0), (2, "crops", 1, 0), (1, "order", 1)]
    drawn = {tuple(torch.rand(4, generator=generator(*key)).tolist()) for key in keys}
    assert len(drawn) == len(keys)
    assert len(set(seeds_of_images(1000, 1, "augmentation", 1))) > 990

"""Classes that are split over processes give what one process computes of all classes.

Threads of this process are the processes here: ``test_distributed.py`` has real ones.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from eureka_nlg.losses import eureka_loss, vocabulary_parallel, vocabulary_parallel_eureka_loss

N, C = 9, 13


class Group:
    """The functions of ``torch.distributed`` that the loss calls, among threads."""

    ReduceOp = torch.distributed.ReduceOp

    def __init__(self, size: int) -> None:
        self.size, self.exchanges = size, 0
        self._given: list[Any] = [None] * size
        self._barrier = threading.Barrier(size, timeout=60)
        self._own = threading.local()

    def run(self, work: Callable[[int], object]) -> list[Any]:
        """The results of ``work`` for each rank, each in a thread."""
        results: list[Any] = [None] * self.size

        def one(rank: int) -> None:
            self._own.rank = rank
            try:
                results[rank] = work(rank)
            except BaseException as error:
                results[rank] = error
                self._barrier.abort()

        threads = [threading.Thread(target=one, args=(rank,)) for rank in range(self.size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, threading.BrokenBarrierError):
                raise result
        return results

    def _exchanged(self, value: Tensor) -> list[Tensor]:
        self._given[self._own.rank] = value.clone()
        self._barrier.wait()
        given = list(self._given)
        self.exchanges += self._own.rank == 0
        self._barrier.wait()
        return given

    def is_initialized(self) -> bool:
        return True

    def get_world_size(self, group: object) -> int:
        return self.size

    def get_rank(self, group: object) -> int:
        return int(self._own.rank)

    def all_gather(self, into: list[Tensor], value: Tensor, group: object) -> None:
        for one, given in zip(into, self._exchanged(value)):
            one.copy_(given)

    def all_reduce(self, value: Tensor, op: Any = ReduceOp.SUM, group: object = None) -> None:
        given = torch.stack(self._exchanged(value))
        value.copy_(given.amax(0) if op == self.ReduceOp.MAX else given.sum(0))


@pytest.fixture
def group_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Group]:
    def make(size: int) -> Group:
        group = Group(size)
        monkeypatch.setattr(vocabulary_parallel, "distributed", group)
        return group

    return make


class Sharded(SimpleNamespace):
    """What the loss reads of a DTensor."""

    @classmethod
    def of(cls, local: Tensor, num_classes: int, rank: int, size: int, dims: tuple[int, ...] = (1,)) -> Any:
        return cls(
            placements=[SimpleNamespace(is_shard=lambda dim, own=own: dim == own) for own in dims],
            device_mesh=SimpleNamespace(
                get_group=lambda: None, size=lambda: size, get_local_rank=lambda: rank
            ),
            shape=(len(local), num_classes),
            dim=lambda: 2,
            dtype=local.dtype,
            device=local.device,
            to_local=lambda: local,
        )

    def __len__(self) -> int:
        return int(self.shape[0])


def logits_of(kind: str, dtype: torch.dtype) -> Tensor:
    logits = 3 * torch.randn(N, C)
    if kind == "confident":
        logits[:, 4] += 150.0  # the target of the first row, in some rank's classes alone
    if kind == "masked":
        logits[:, 3:10] = -torch.inf  # all that two of four ranks have
    if kind == "lone":
        logits[1, :] = -torch.inf
        logits[1, 2] = 1.0  # the target of row 1 is the only class that it can be
    return logits.to(dtype)


def targets_of(kind: str) -> Tensor:
    target = torch.randint(3 if kind in ("masked", "lone") else C, (N,))
    target[0], target[1], target[3] = 4 if kind in ("plain", "confident") else 2, 2, -100
    target[5], target[6] = 0, 1
    return target


OPTIONS: dict[str, Any] = {
    "mean": {},
    "mean of weighted": {"weight": torch.linspace(0.5, 2, C)},
    "smoothed": {"label_smoothing": 0.1, "weight": torch.linspace(0, 1, C)},
    "smoothed, without weights": {"label_smoothing": 0.2, "reduction": "none"},
    "smoothed, with a part without weight": {
        "label_smoothing": 0.3,
        "weight": torch.tensor([0.25, 0.25, 0.25, 0.125, 0.125, *[0.0] * 8]),
    },
    "all of it smoothed": {"label_smoothing": 1.0},
    "capped": {"likelihood_cap": 0.5, "reduction": "sum", "weight": torch.linspace(1, 0, C)},
}
ENDS = {
    "one, many, none": [0, 1, 6, 6, C],
    "halves": [0, 5, C],
    "the confident class is a first one": [0, 4, C],
    "one rank": [0, C],
}


CASES = [
    pytest.param(kind, options, id=f"{kind}-{name}")
    for kind in ("plain", "confident", "masked", "lone")
    for name, options in OPTIONS.items()
    if kind in ("plain", "confident") or "label_smoothing" not in options  # else the loss is infinite
]


@pytest.mark.parametrize("ends", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize(("kind", "options"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_split_classes(
    dtype: torch.dtype,
    kind: str,
    options: dict[str, Any],
    ends: list[int],
    group_of: Callable[[int], Group],
) -> None:
    logits, target, encouragement = logits_of(kind, dtype), targets_of(kind), 2 * torch.rand(C)
    encouragement[::2] = 0.0  # where all is smoothed, these classes have no slope of their own
    whole = logits.double().requires_grad_()
    wide = {name: one.double() if isinstance(one, Tensor) else one for name, one in options.items()}
    expected = eureka_loss(whole, target, encouragement.double(), impl="reference", **wide)
    slope = torch.arange(0.7, N + 1)[: expected.numel()].double().view_as(expected)
    (gradient,) = torch.autograd.grad(expected, whole, slope)

    def one(rank: int) -> tuple[Tensor, Tensor]:
        local = logits[:, ends[rank] : ends[rank + 1]].clone().requires_grad_()
        loss = vocabulary_parallel_eureka_loss(local, target, encouragement, **options)
        return loss.detach(), torch.autograd.grad(loss, local, slope.to(loss.dtype))[0]

    results = group_of(len(ends) - 1).run(one)
    tolerance = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 4 * torch.finfo(dtype).eps}[dtype]
    for loss, _ in results:
        assert loss.dtype == dtype
        torch.testing.assert_close(loss.double(), expected.detach(), rtol=tolerance, atol=1e-6)
    together = torch.cat([part for _, part in results], 1)
    assert together.dtype == dtype
    torch.testing.assert_close(together.double(), gradient, rtol=tolerance, atol=1e-6)


@pytest.mark.parametrize("told", ["num_classes and first_class", "num_classes", "first_class", "a DTensor"])
@pytest.mark.parametrize(("num_classes", "size"), [(13, 4), (5, 4), (6, 2)])
def test_the_place_of_the_classes(
    told: str, num_classes: int, size: int, group_of: Callable[[int], Group]
) -> None:
    """Which is told, found by an exchange, or that of torch.chunk."""
    logits = torch.randn(N, num_classes, dtype=torch.float64)
    target = torch.randint(num_classes, (N,))
    expected = eureka_loss(logits, target, impl="reference")
    share = math.ceil(num_classes / size)
    group = group_of(size)

    def one(rank: int) -> Tensor:
        local = logits[:, rank * share : (rank + 1) * share]
        first = min(num_classes, rank * share)
        given: dict[str, Any] = {"num_classes": num_classes, "first_class": first}
        if told == "a DTensor":
            return vocabulary_parallel_eureka_loss(Sharded.of(local, num_classes, rank, size), target)
        return vocabulary_parallel_eureka_loss(
            local, target, **{name: one for name, one in given.items() if name in told}
        )

    for loss in group.run(one):
        torch.testing.assert_close(loss, expected)
    # the largest logit and the sums; and the numbers of classes, if one of the two is not known
    assert group.exchanges == (3 if told in ("num_classes", "first_class") else 2)


def test_classes_that_do_not_fit(group_of: Callable[[int], Group]) -> None:
    group_of(1)
    target = torch.tensor([0, 1])
    for first, number in ((-1, 3), (1, 3), (0, 2), (4, 3)):
        with pytest.raises(ValueError, match=f"3 classes of input, got {first} and {number}"):
            vocabulary_parallel_eureka_loss(torch.zeros(2, 3), target, first_class=first, num_classes=number)
    for dims in ((), (0,), (1, 0)):
        given = Sharded.of(torch.zeros(2, 3), 3, 0, 1, dims)
        with pytest.raises(ValueError, match="input must be sharded in dimension 1"):
            vocabulary_parallel_eureka_loss(given, target)


def test_there_is_no_second_derivative(group_of: Callable[[int], Group]) -> None:
    def one(_: int) -> None:
        logits = torch.randn(2, 3, requires_grad=True)
        loss = vocabulary_parallel_eureka_loss(logits, torch.tensor([0, 1]))
        with pytest.raises(RuntimeError, match="second derivative"):
            torch.autograd.grad(loss, logits, create_graph=True)

    group_of(1).run(one)


def test_an_infinite_logit_of_the_target_is_an_overflow(group_of: Callable[[int], Group]) -> None:
    logits = torch.zeros(2, 4)
    logits[0, 1] = math.inf
    target = torch.tensor([1, 2])
    losses = group_of(2).run(
        lambda rank: vocabulary_parallel_eureka_loss(
            logits[:, 2 * rank : 2 * rank + 2], target, reduction="none"
        )
    )
    for loss in losses:
        assert loss[0].isnan()
        assert loss[1].item() == pytest.approx(math.log(4) + math.log(3 / 4))


def test_a_cost_of_classes_that_are_masked_is_infinite(group_of: Callable[[int], Group]) -> None:
    """And no NaN, where all classes of a rank are masked."""
    logits = torch.tensor([[1.0, 0.0, -math.inf, -math.inf]])
    losses = group_of(2).run(
        lambda rank: vocabulary_parallel_eureka_loss(
            logits[:, 2 * rank : 2 * rank + 2], torch.tensor([0]), label_smoothing=0.1
        )
    )
    assert [loss.item() for loss in losses] == [math.inf, math.inf]


@pytest.mark.parametrize("slope", [1.0, -1.0])
@pytest.mark.parametrize("label_smoothing", [0.0, 1.0])
def test_the_gradient_of_a_target_that_is_all_but_impossible(
    slope: float, label_smoothing: float, group_of: Callable[[int], Group]
) -> None:
    """Of cross-entropy, p - 1 at the target and q at the others; or p - 1/4 everywhere."""

    def one(rank: int) -> Tensor:
        local = torch.tensor([[0.0, 200.0], [300.0, 0.0]])[rank : rank + 1].requires_grad_()
        loss = vocabulary_parallel_eureka_loss(local, torch.tensor([0]), 0.0, label_smoothing=label_smoothing)
        return torch.autograd.grad(loss, local, torch.tensor(slope))[0][0]

    found = torch.cat(group_of(2).run(one)).tolist()
    wanted = [1.0, 0.0, 0.0, 0.0] if label_smoothing == 0 else [0.25] * 4
    assert found == [slope * (p - share) for p, share in zip([0.0, 0.0, 1.0, 0.0], wanted)]

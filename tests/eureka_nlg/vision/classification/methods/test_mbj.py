"""MBJ: what the memory holds, what is remembered, and what the loss is."""

from __future__ import annotations

import threading
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eureka_nlg.errors import UserError
from eureka_nlg.vision.classification.config import Config, TrainingConfig
from eureka_nlg.vision.classification.data import ImageData
from eureka_nlg.vision.classification.methods.mbj import FeatureMemory, MemoryBasedJitter, RememberingNetwork
from eureka_nlg.vision.classification.methods.options import MbjConfig

pytest.importorskip("accelerate")

COUNTS = [30, 10, 3, 2]
PIXELS = torch.randint(256, (45, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
LABELS = torch.repeat_interleave(torch.arange(4), torch.tensor(COUNTS))


def test_the_memory_is_a_ring() -> None:
    """Against a deque of bounded length, over several rounds, with writes of all sizes."""
    memory, expected = FeatureMemory(7, 2), deque[tuple[float, int]](maxlen=7)
    number = 0
    for size in (3, 0, 5, 1, 9, 2, 7, 20, 4):
        rows = torch.arange(number, number + size)
        memory.write(torch.stack([rows, -rows], 1).float(), rows % 3)
        expected.extend((float(row), int(row) % 3) for row in rows)
        number += size
        assert len(memory) == len(expected)
        held = memory.labels >= 0
        found = list(zip(memory.features[held, 0].tolist(), memory.labels[held].tolist()))
        assert sorted(found) == sorted(expected)
        assert torch.equal(memory.features[:, 1], -memory.features[:, 0])

    again = FeatureMemory(7, 2)  # of a run that goes on: the next ones go to the same places
    again.load_state(memory.state())
    for one in (memory, again):
        one.write(torch.full((2, 2), 99.0), torch.tensor([1, 2]))
    assert torch.equal(memory.features, again.features)
    assert torch.equal(memory.labels, again.labels)
    with pytest.raises(ValueError, match=r"memory of shape \[7, 2\], expected \[6, 2\]"):
        FeatureMemory(6, 2).load_state(memory.state())


class Tiny(nn.Module):
    """Features without batch statistics, which a split would change."""

    num_features = 5

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.backbone = nn.Sequential(nn.Flatten(), nn.Linear(192, 5))
        self.classifier = nn.Linear(5, 4)

    def forward(self, images: Tensor, recalled: Tensor | None = None) -> Any:
        return RememberingNetwork.forward(self, images, recalled)  # type: ignore[arg-type]


def some_task(process: int = 0, processes: int = 1, accumulate: int = 1, **options: Any) -> MemoryBasedJitter:
    config = Config(
        method="mbj",
        mbj=MbjConfig(**{"memory_size": 20, **options}),
        training=TrainingConfig(batch_size=16, accumulate=accumulate, epochs=50),
    )
    accelerator: Any = SimpleNamespace(
        device=torch.device("cpu"), process_index=process, num_processes=processes
    )
    data = ImageData(config.data, (PIXELS, LABELS), (PIXELS, LABELS))
    return MemoryBasedJitter(config, data, Tiny(), accelerator)


def walk(task: MemoryBasedJitter, epochs: int) -> None:
    for epoch in range(1, epochs + 1):
        task.begin_epoch(epoch)
        for step, parts in enumerate(task.batches(epoch, 0)):
            for part in parts:
                task.loss(task.network, part)
            task.end_step(epoch, step)


def test_all_classes_have_the_same_share_of_what_is_remembered() -> None:
    task = some_task(memory_size=45)
    seen = torch.zeros(4)
    task.memory.write = lambda features, labels: seen.add_(labels.bincount(minlength=4))  # type: ignore[method-assign]
    walk(task, 50)
    # Two images of each class an epoch are expected: 100, standard deviation 10 and less.
    assert (seen - 100).abs().max() < 35
    assert seen[3] == 100  # the rarest class is always remembered


def test_what_is_remembered_are_features_of_the_step() -> None:
    task = some_task()
    task.begin_epoch(1)
    [[part], *_] = list(task.batches(1, 0))
    task.loss(task.network, part)
    task.end_step(1, 0)
    features = task.network.backbone(part.batch.images)
    held = len(task.memory)
    assert held > 0
    for feature, label in zip(task.memory.features[:held], task.memory.labels[:held]):
        [row] = (features - feature).abs().sum(1).lt(1e-6).nonzero()[0]
        assert part.batch.labels[row] == label


def test_the_loss_is_the_mean_of_images_plus_that_of_the_memory() -> None:
    task = some_task(memory_weight=0.7, replayed=11)
    walk(task, 1)
    task.begin_epoch(2)
    [part] = next(task.batches(2, 0))
    network = task.network
    loss = task.loss(network, part)
    assert len(part.recalled) == 11
    stored = task.memory.features[part.recalled], task.memory.labels[part.recalled]
    of_images = F.cross_entropy(network.classifier(network.backbone(part.batch.images)), part.batch.labels)
    of_memory = F.cross_entropy(network.classifier(stored[0]), stored[1])
    assert loss.item() == pytest.approx((of_images + 0.7 * of_memory).item(), rel=1e-5)
    got = torch.autograd.grad(loss, [network.backbone[1].weight, network.classifier.weight])
    backbone, classifier = (network.backbone[1].weight, network.classifier.weight)
    [expected] = torch.autograd.grad(of_images, [backbone], retain_graph=True)
    torch.testing.assert_close(got[0], expected)  # nothing flows back from the memory
    [expected] = torch.autograd.grad(of_images + 0.7 * of_memory, [classifier])
    torch.testing.assert_close(got[1], expected)


@pytest.mark.parametrize(("processes", "accumulate"), [(1, 3), (2, 1), (3, 2)])
def test_loss_and_memory_do_not_depend_on_the_split(
    processes: int, accumulate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = some_task(memory_size=16)
    walk(whole, 2)
    tasks = [some_task(process, processes, accumulate, memory_size=16) for process in range(processes)]
    barrier, given = threading.Barrier(processes), [None] * processes

    def gather(rows: list[Any]) -> list[Any]:
        given[int(threading.current_thread().name)] = rows[0]
        barrier.wait()
        gathered = list(given)
        barrier.wait()
        return gathered

    monkeypatch.setattr("accelerate.utils.gather_object", gather)
    threads = [
        threading.Thread(target=walk, args=(task, 2), name=str(number)) for number, task in enumerate(tasks)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert whole.memory.written > 16  # it went round
    for task in tasks:
        assert task.memory.written == whole.memory.written
        torch.testing.assert_close(task.memory.features, whole.memory.features)
        assert torch.equal(task.memory.labels, whole.memory.labels)

    def gradient(chosen: list[MemoryBasedJitter]) -> Tensor:
        total = torch.zeros(4, 5)
        for task in chosen:
            task.begin_epoch(3)
            for part in next(task.batches(3, 0)):
                task.network.zero_grad()
                task.loss(task.network, part).backward()
                total += task.network.classifier.weight.grad
        return total

    torch.testing.assert_close(gradient(tasks), gradient([whole]))


def test_a_memory_larger_than_the_data_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"^mbj.memory_size: 46, but there are 45 training images; expected as"
    ):
        some_task(memory_size=46)


def test_plain_epochs_leave_the_memory_empty() -> None:
    task = some_task()
    task.config.deferral.plain_epochs = 2
    walk(task, 2)
    assert len(task.memory) == 0
    assert task.state() == {}
    walk(task, 3)
    assert len(task.memory) > 0

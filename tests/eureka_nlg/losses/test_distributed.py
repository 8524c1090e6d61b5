"""Several processes give the gradients of one, be it the rows that are split or the classes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from forked import Forked
from plain_formulas import plain_eureka_loss

from eureka_nlg.losses import vocabulary_parallel_eureka_loss

WORKER = """
import sys
import torch
import torch.distributed as distributed
from torch.nn.parallel import DistributedDataParallel
from eureka_nlg.losses import EurekaLoss

folder, rank = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(1)
distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
batch = torch.load(f"{folder}/batch.pt")
half = slice(4 * rank, 4 * rank + 4)
linear = torch.nn.Linear(3, 5)
linear.load_state_dict(batch["linear"])


class Model(torch.nn.Module):
    # with the loss inside, so that its buffer takes part in the synchronisation
    def __init__(self):
        super().__init__()
        self.linear, self.loss = linear, EurekaLoss(batch["encouragement"] if rank == 0 else torch.zeros(5))

    def forward(self, features, target):
        return self.loss(self.linear(features), target)


model = DistributedDataParallel(Model())
model(batch["features"][half], batch["target"][half]).backward()
torch.save(linear.weight.grad, f"{folder}/gradient{rank}.pt")
distributed.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed training")
def test_two_processes(tmp_path: Path, python: Forked) -> None:
    linear = torch.nn.Linear(3, 5)
    batch = {
        "linear": linear.state_dict(),
        "encouragement": torch.linspace(0, 3, 5),
        "features": torch.randn(8, 3),
        "target": torch.randint(5, (8,)),
    }
    torch.save(batch, tmp_path / "batch.pt")
    for done in python.together([("-c", WORKER, tmp_path, rank) for rank in (0, 1)]):
        assert done.returncode == 0, done.stderr
    loss = plain_eureka_loss(linear(batch["features"]), batch["target"], batch["encouragement"])
    (expected,) = torch.autograd.grad(loss, linear.weight)
    for rank in (0, 1):
        gradient = torch.load(tmp_path / f"gradient{rank}.pt")
        torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-6)


VOCABULARY_WORKER = """
import os
import sys
import torch
import torch.distributed as distributed

torch.set_num_threads(1)
from eureka_nlg.losses import eureka_loss, vocabulary_parallel_eureka_loss
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard

N, C = 9, 13


def logits_of(dtype, kind):
    logits = 3 * torch.randn(N, C)
    if kind == "confident":
        logits[:, 4] += 150.0  # the target of the first row, in some process's classes alone
    if kind == "masked":
        logits[:, 3:10] = -torch.inf  # all that two of four processes have
    return logits.to(dtype)


def check(group, size, rank, place):
    torch.manual_seed(1)
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        for kind in ("plain", "confident", "masked"):
            for options in (
                {},
                {"label_smoothing": 0.1, "weight": torch.rand(C)},
                {"label_smoothing": 0.2, "reduction": "none"},
                {"likelihood_cap": 0.5, "reduction": "sum", "weight": torch.rand(C)},
            ):
                if kind == "masked" and "label_smoothing" in options:
                    continue  # infinite
                logits, target = logits_of(dtype, kind), torch.randint(C, (N,))
                encouragement = 2 * torch.rand(C)
                if kind == "masked":
                    target = target % 3
                target[0], target[3] = 4 if kind != "masked" else 2, -100
                whole = logits.double().requires_grad_()
                wide = dict(options)
                if "weight" in wide:
                    wide["weight"] = wide["weight"].double()
                expected = eureka_loss(whole, target, encouragement.double(), impl="reference", **wide)
                slope = torch.arange(0.7, N + 1)[: expected.numel()].double().view_as(expected)
                (gradient,) = torch.autograd.grad(expected, whole, slope)
                for way in place:
                    columns, local, given = way(logits, size, rank)
                    loss = vocabulary_parallel_eureka_loss(
                        local, target, encouragement, group=group, **given, **options
                    )
                    eps = 4 * torch.finfo(torch.float32 if dtype == torch.float64 else dtype).eps
                    torch.testing.assert_close(loss.double(), expected.detach(), rtol=eps, atol=1e-6)
                    (mine,) = torch.autograd.grad(loss, local, slope.to(loss.dtype))
                    if isinstance(mine, DTensor):
                        mine = mine.to_local()
                    torch.testing.assert_close(mine.double(), gradient[:, columns], rtol=eps, atol=1e-6)


def uneven(logits, size, rank):
    ends = [0, 1, 6, 6, C] if size == 4 else [0, 5, C]  # one class, many, none
    columns = slice(ends[rank], ends[rank + 1])
    return columns, logits[:, columns].clone().requires_grad_(), {}


def told(logits, size, rank):
    columns = slice(rank * C // size, (rank + 1) * C // size)
    given = {"num_classes": C, "first_class": columns.start}
    return columns, logits[:, columns].clone().requires_grad_(), given


def sharded(logits, size, rank):
    share = -(-C // size)
    columns = slice(rank * share, (rank + 1) * share)
    local = logits[:, columns].clone()
    mesh = DeviceMesh("cpu", list(range(size)))
    whole = DTensor.from_local(local, mesh, [Shard(1)], shape=(N, C), stride=(C, 1), run_check=False)
    return columns, whole.detach().requires_grad_(), {}


processes = []
for rank in range(4):
    process = os.fork()
    if process == 0:
        try:
            distributed.init_process_group(
                "gloo", init_method="file://" + sys.argv[1], rank=rank, world_size=4
            )
            two = distributed.new_group([0, 1])
            check(None, 4, rank, [uneven, told, sharded])
            if rank < 2:
                check(two, 2, rank, [uneven, told])
            distributed.barrier()
            distributed.destroy_process_group()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    processes.append(process)
statuses = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
sys.exit(max(map(abs, statuses)))
"""


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed training")
def test_classes_in_two_and_four_processes(tmp_path: Path, python: Forked) -> None:
    done = python("-c", VOCABULARY_WORKER, tmp_path / "store", timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]


def test_classes_in_several_processes_need_a_group() -> None:
    with pytest.raises(ValueError, match="init_process_group"):
        vocabulary_parallel_eureka_loss(torch.randn(2, 3), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="C_local"):
        vocabulary_parallel_eureka_loss(torch.randn(2, 3, 4), torch.tensor([0, 1]))

"""Data-parallel training: two processes give the gradient of the whole batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from plain_formulas import plain_eureka_loss

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
def test_two_processes(tmp_path: Path) -> None:
    linear = torch.nn.Linear(3, 5)
    batch = {
        "linear": linear.state_dict(),
        "encouragement": torch.linspace(0, 3, 5),
        "features": torch.randn(8, 3),
        "target": torch.randint(5, (8,)),
    }
    torch.save(batch, tmp_path / "batch.pt")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", WORKER, tmp_path, str(rank)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    try:
        for worker in workers:
            _, errors = worker.communicate(timeout=300)
            assert worker.returncode == 0, errors
    finally:
        for worker in workers:
            worker.kill()
    loss = plain_eureka_loss(linear(batch["features"]), batch["target"], batch["encouragement"])
    (expected,) = torch.autograd.grad(loss, linear.weight)
    for rank in (0, 1):
        gradient = torch.load(tmp_path / f"gradient{rank}.pt")
        torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-6)

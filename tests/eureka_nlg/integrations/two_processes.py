"""Halves of a batch in two processes give the gradients of the whole, by DDP and by FSDP2."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import transformers
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.multiprocessing import start_processes

from eureka_nlg.integrations.transformers import EurekaTrainerLoss, apply_eureka

HAS_FSDP2 = hasattr(torch.cpu.Stream, "record_event")  # not on the CPU in torch 2.6


def gradients(module: torch.nn.Module) -> dict[str, Any]:
    found = {}
    for name, parameter in module.named_parameters():
        gradient = parameter.grad
        if gradient is not None:
            whole = gradient.full_tensor() if hasattr(gradient, "full_tensor") else gradient
            found[name.removeprefix("module.")] = whole
    return found


def compare(rank: int, size: int, out: Path) -> None:
    """The work of one of the processes; the first one writes what was found."""
    store = out.with_name("store")
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
    mesh = init_device_mesh("cpu", (size,))
    config = transformers.LlamaConfig(
        vocab_size=48, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2
    )
    torch.manual_seed(1)
    start = transformers.LlamaForCausalLM(config)
    tokens = torch.randint(0, 48, (8, 10))
    labels = tokens.clone()
    labels[:3, 4:] = -100  # ranks with different numbers of targets
    num_items = labels[:, 1:].ne(-100).sum()
    half = slice(rank * 8 // size, (rank + 1) * 8 // size)
    weights = torch.rand(48) * 2
    errors, logs = {}, {}
    for fused in (False, True):
        whole = apply_eureka(copy.deepcopy(start), EurekaTrainerLoss(weights, shift=True), fused=fused)
        whole(input_ids=tokens, labels=labels, num_items_in_batch=num_items).loss.backward()
        expected = gradients(whole)
        for way in ("ddp", "fsdp2", "fsdp2 with the output layer of its own")[: None if HAS_FSDP2 else 1]:
            model = copy.deepcopy(start)
            loss = EurekaTrainerLoss(weights, shift=True)
            apply_eureka(model, loss, fused=fused)
            if way == "ddp":
                model = torch.nn.parallel.DistributedDataParallel(model)
            else:
                fully_shard(model.model.layers[0], mesh=mesh)
                if way != "fsdp2":
                    fully_shard(model.lm_head, mesh=mesh)
                fully_shard(model, mesh=mesh)
            found = model(input_ids=tokens[half], labels=labels[half], num_items_in_batch=num_items).loss
            (found * size).backward()
            own = gradients(model)
            assert own.keys() == expected.keys()
            errors[f"{way}, fused={fused}"] = max(
                float((own[name] - expected[name]).abs().max()) for name in expected
            )
            logs[f"{way}, fused={fused}"] = loss.sums.take()["nll"]
    plain = torch.nn.functional.cross_entropy(
        start(tokens).logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
    )
    if rank == 0:
        out.write_text(json.dumps({"errors": errors, "logs": logs, "nll": plain.item()}))
    dist.destroy_process_group()


if __name__ == "__main__":
    # forked, since importing transformers takes longer than all of it
    start_processes(compare, args=(2, Path(sys.argv[1])), nprocs=2, start_method="fork")

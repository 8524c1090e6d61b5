"""What a fine-tuning left in its folder is checked when it is read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")
pytest.importorskip("safetensors")

import torch
from safetensors.torch import save_file

from eureka_nlg.errors import UserError
from eureka_nlg.finetune.run_folder import FinetuneFolder
from eureka_nlg.runs.finetune_provenance import provenance, trainer_log

STATE = {
    "epoch": 1.0,
    "global_step": 2,
    "log_history": [{"epoch": 0.5, "loss": 2.0}, {"epoch": 1, "eval_loss": 3}],
}


def folder(path: Path, **files: Any) -> FinetuneFolder:
    save_file({"weight": torch.zeros(2, 3)}, str(path / "model.safetensors"))
    for name, content in files.items():
        (path / f"{name}.json").write_text(json.dumps(content))
    return FinetuneFolder.find(path)


def read(path: Path, **files: Any) -> None:
    found = folder(path, **files)
    provenance(found)
    trainer_log(found)


def test_facts_of_a_folder(tmp_path: Path) -> None:
    found = folder(
        tmp_path, trainer_state=STATE, finetune={"options": {"data": "d"}, "versions": {"torch": "2"}}
    )
    facts = provenance(found).facts
    assert facts["checkpoint"] == "model.safetensors, epoch 1, 2 updates"
    assert (facts["best validation"], facts["parameters"], facts["software"]) == (
        "loss 3 nats",
        "6",
        "torch 2",
    )
    log = trainer_log(found)
    assert log is not None
    assert list(log[1].curves["ppl"]["valid"]) == [1]


def test_a_training_that_diverged_is_read(tmp_path: Path) -> None:
    history = [
        {"epoch": 1, "eval_loss": float("nan")},
        {"epoch": 1, "loss": float("inf"), "train_runtime": 3},
    ]
    found = folder(tmp_path, trainer_state={**STATE, "log_history": history})
    assert provenance(found).facts["best validation"] == "loss nan nats"
    assert trainer_log(found) is not None


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("trainer_state", [1], "not the state of a Trainer: the document is [1], expected an object"),
        ("trainer_state", {"log_history": {}}, "log_history is {}, expected a list"),
        ("trainer_state", {"log_history": [1]}, "log_history, item 1, is 1, expected an object"),
        ("trainer_state", {"log_history": [{"epoch": "1"}]}, "epoch is '1', expected a number or null"),
        ("trainer_state", {"log_history": [{"epoch": float("inf")}]}, "epoch is inf"),
        (
            "trainer_state",
            {"log_history": [{"epoch": 1, "eval_loss": [1]}]},
            "eval_loss is [1], expected a number",
        ),
        ("trainer_state", {"epoch": "x", "global_step": 1}, "epoch is 'x'"),
        ("finetune", {}, "the document has no options"),
        ("finetune", {"options": {"data": 5}}, "data is 5, expected text"),
        ("finetune", {"options": {"max_length": "x"}}, "max_length is 'x', expected a whole number"),
        ("finetune", {"options": {}, "versions": []}, "versions is [], expected an object"),
        ("adapter_config", {}, "the document has no base_model_name_or_path"),
    ],
)
def test_other_content_is_refused_with_the_place(tmp_path: Path, name: str, content: Any, said: str) -> None:
    if name == "adapter_config":
        save_file({"weight": torch.zeros(1)}, str(tmp_path / "adapter_model.safetensors"))
    with pytest.raises(UserError) as caught:
        read(tmp_path, **{name: content})
    assert str(caught.value).startswith(f"{tmp_path / name}.json: ")
    assert said in str(caught.value)

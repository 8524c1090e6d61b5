"""What a run writes and a later command reads back."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from targets.base import JSON_WORDS, One, Target, mutated_bytes, mutated_json

__all__ = ["TARGETS"]

Documents = dict[str, bytes | Any]


def _image_run() -> Documents:
    """The files of a finished run of images, JSON as trees."""
    import numpy as np
    import torch

    from eureka_nlg.analysis import analysis_document, corpus_block, system_block
    from eureka_nlg.metrics.classes.bands import FrequencyBands
    from eureka_nlg.vision.classification.config import Config
    from eureka_nlg.vision.classification.evaluation import Predictions, evaluate, gold_likelihood
    from eureka_nlg.vision.config_file import to_yaml

    counts, labels = torch.tensor([500, 300, 60, 4]), torch.arange(4).repeat_interleave(5)
    predictions = Predictions.of_logits(torch.eye(4)[labels] + torch.arange(4) / 10, labels)
    config = Config(save_dir="run")
    record = {
        "epoch": 2,
        "training_seconds": 90.0,
        "waiting_for_data": 0.01,
        "config": dataclasses.asdict(config),
        "versions": {"eureka_nlg": "0", "torch": "0"},
        "processes": 1,
        "device": "cpu",
    }
    log = [{"epoch": e, "step": e, "loss": 2.0 / e, "accuracy.all": 30.0, "seconds": 45.0} for e in (1, 2)]
    bands = FrequencyBands.by_count(counts)
    block = system_block({"test": gold_likelihood(predictions, bands)}, checkpoint="x")
    return {
        "config.yaml": to_yaml(config).encode(),
        "evaluation.json": json.loads(json.dumps({**evaluate(predictions, counts), **record})),
        "log.jsonl": "".join(json.dumps(entry) + "\n" for entry in log).encode(),
        "analysis.json": analysis_document(bands, {"run": block}, corpus_block(np.asarray(counts))),
    }


def _finetuned() -> Documents:
    history = [
        {"epoch": 0.5, "loss": 2.0, "nll": 2.1, "likelihood": 0.1, "reward": 0.2, "step": 1},
        {"epoch": 1.0, "eval_loss": 2.0, "step": 2},
        {"epoch": 1.0, "train_runtime": 3.0, "step": 2},
    ]
    return {
        "trainer_state.json": {"epoch": 1.0, "global_step": 2, "log_history": history},
        "finetune.json": {
            "options": {"model": "m", "data": "d", "loss": "eureka"},
            "arguments": {"seed": 1, "learning_rate": 1e-4},
            "versions": {"torch": "2"},
        },
        "adapter_config.json": {"base_model_name_or_path": "m"},
    }


def _prepared() -> Documents:
    from eureka_nlg.dialogue.options import PrepareOptions

    options = dataclasses.asdict(PrepareOptions(history_turns=1))
    return {"manifest.json": {"options": options, "splits": {"train": {"exchanges": 30}}}}


def _run_folder(
    documents: Callable[[], Documents], mutate: str, read: Callable[[Path], object]
) -> Callable[[Path], One]:
    def prepare(folder: Path) -> One:
        folder.mkdir()
        seeds = documents()

        def one(pick: random.Random) -> object:
            run = Path.cwd() / "run"
            run.mkdir()
            for name, content in seeds.items():
                if name == mutate and not isinstance(content, bytes):
                    data = mutated_json(pick, content)
                elif name == mutate:
                    data = mutated_bytes(pick, [content], JSON_WORDS)
                else:
                    data = content if isinstance(content, bytes) else json.dumps(content).encode()
                (run / name).write_bytes(data)
            return read(run)

        return one

    return prepare


def _log(run: Path) -> object:
    from eureka_nlg.vision.training.log import read_log

    return read_log(run / "log.jsonl")


def _analysis(run: Path) -> object:
    from eureka_nlg.analysis import read_analysis

    return read_analysis(run / "analysis.json")


def _report(run: Path) -> object:
    from eureka_nlg.report.images import image_report

    return image_report([str(run)], ["run"])


def _provenance(run: Path) -> object:
    from eureka_nlg.finetune.run_folder import FinetuneFolder
    from eureka_nlg.runs.finetune_provenance import provenance, trainer_log

    (run / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    (run / "adapter_model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    found = FinetuneFolder.find(run)
    return provenance(found), trainer_log(found)


def _preparation(run: Path) -> object:
    from eureka_nlg.dialogue.decay import with_total_num_update
    from eureka_nlg.dialogue.own_text import Preparation
    from eureka_nlg.dialogue.run_data import RunData

    with_total_num_update({"data": str(run), "decay_epochs": 2, "batch_size": 3})
    return Preparation.of(RunData.find(str(run))).text("hello there")


TARGETS = [
    Target(
        "evaluation.json",
        "scores of a run of images, for the report",
        30,
        60,
        _run_folder(_image_run, "evaluation.json", _report),
    ),
    Target(
        "log.jsonl",
        "log of a run of images",
        80,
        30,
        _run_folder(
            lambda: {"log.jsonl": _image_run()["log.jsonl"]},
            "log.jsonl",
            _log,
        ),
    ),
    Target(
        "config.yaml",
        "config of a run of images, for the report",
        3,
        40,
        _run_folder(_image_run, "config.yaml", _report),
    ),
    Target(
        "analysis.json",
        "likelihoods by frequency",
        40,
        60,
        _run_folder(
            lambda: {"analysis.json": _image_run()["analysis.json"]},
            "analysis.json",
            _analysis,
        ),
    ),
    *(
        Target(name, what, 30, 30, _run_folder(_finetuned, name, _provenance))
        for name, what in (
            ("trainer_state.json", "state of a Trainer"),
            ("finetune.json", "record of a fine-tuning"),
            ("adapter_config.json", "config of adapters"),
        )
    ),
    Target(
        "manifest.json",
        "how data was prepared",
        40,
        30,
        _run_folder(_prepared, "manifest.json", _preparation),
    ),
]

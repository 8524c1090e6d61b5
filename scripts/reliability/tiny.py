"""A corpus, images, a language model and configs so small that every command ends within seconds."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import forked_commands

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "helpers"))

DIALOGUE = """\
data: data
arch: lstm_convai2
encoder_embed_dim: 16
encoder_hidden_size: 16
criterion: eureka
encouragement_start_epoch: 2
encouragement_normalization: mean_weight
optimizer: adam
lr: 0.004
clip_norm: 1.0
batch_size: 24
required_batch_size_multiple: 1
max_epoch: 3
save_interval_updates: 5
keep_interval_updates: 2
best_checkpoint_metric: ppl
num_workers: 0
seed: 1
save_dir: run
"""
IMAGES = """\
data:
  source: images
  imbalance_degree: 4
loss:
  name: eureka
  likelihood_cap: 0.9
deferral:
  plain_epochs: 3
training:
  epochs: 6
  batch_size: 16
  warmup_epochs: 1
  milestones: [5]
  checkpoint_every: 1
  keep_epochs: [2, 4]
  precision: float32
  device: cpu
save_dir: run
"""
FINETUNE = """\
model: model
data: messages
output_dir: run
learning_rate: 2e-2
per_device_train_batch_size: 4
max_steps: 12
save_steps: 2
save_total_limit: 3
logging_steps: 1
start_step: 5
seed: 1
report_to: none
use_cpu: true
disable_tqdm: true
decode_split: valid
max_new_tokens: 8
"""


def make(folder: Path) -> None:
    """Write ``corpus``, ``data``, ``messages``, ``images``, ``model`` and the configs of three trainings.

    Raises:
        RuntimeError: a command did not do what it is to do.
    """
    corpus = folder / "corpus"
    corpus.mkdir(parents=True)
    for split, num_lines in (("train", 400), ("valid", 100), ("test", 40)):
        with open(ROOT / "data" / "sample" / f"{split}.txt", encoding="utf-8") as lines:
            (corpus / f"{split}.txt").write_text(
                "".join(itertools.islice(lines, num_lines)), encoding="utf-8"
            )
    for name, text in (("dialogue", DIALOGUE), ("images", IMAGES), ("finetune", FINETUNE)):
        (folder / f"{name}.yaml").write_text(text)
    for arguments in (
        ("prepare", "corpus", "--out", "data", "--history-turns", "1", "--min-count", "2"),
        ("prepare", "corpus", "--out", "messages", "--format-out", "messages"),
    ):
        done = forked_commands.eureka(arguments, folder)
        if done.status:
            raise RuntimeError(f"eureka {' '.join(arguments)}: {done.errors}")
    forked_commands.wait_for(forked_commands.fork(lambda: _images_and_model(folder)))


def _images_and_model(folder: Path) -> None:
    import datasets
    import numpy as np
    from PIL import Image
    from tiny_model import save_model

    random = np.random.default_rng(1)
    colours = np.array([[190, 90, 90], [90, 190, 90], [90, 90, 190], [140, 140, 140]])
    parts = {}
    for split, size in (("train", 96), ("test", 40)):
        labels = [number % len(colours) for number in range(size)]
        images = [
            Image.fromarray(random.normal(colours[label], 60, (8, 8, 3)).clip(0, 255).astype(np.uint8))
            for label in labels
        ]
        features = {"img": datasets.Image(), "label": datasets.ClassLabel(num_classes=len(colours))}
        parts[split] = datasets.Dataset.from_dict(
            {"img": images, "label": labels}, features=datasets.Features(features)
        )
    datasets.DatasetDict(parts).save_to_disk(str(folder / "images"))
    words = (folder / "corpus" / "train.txt").read_text(encoding="utf-8").split()
    save_model(folder / "model", sorted(set(words))[:400])

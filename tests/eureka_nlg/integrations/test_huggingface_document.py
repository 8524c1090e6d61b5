"""Every block of docs/huggingface.md, and that of the README, runs as it stands, on tiny models."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

transformers = pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")

DOCUMENT = Path(__file__).parents[3] / "docs" / "huggingface.md"
README = DOCUMENT.parents[1] / "README.md"


def blocks(path):
    """Title of a section -> its first block of Python."""
    block = r"^## ([^\n]+)\n(?:(?!^## ).)*?```python\n(.*?)```"
    return dict(re.findall(block, path.read_text(), re.S | re.M))


BLOCKS = blocks(DOCUMENT) | {"README": blocks(README)["Hugging Face"]}


def test_there_are_blocks():
    assert len(blocks(DOCUMENT)) == DOCUMENT.read_text().count("```python") == 6


@pytest.mark.parametrize("title", BLOCKS)
def test_block(title, make_model, batch, tmp_path):
    quiet = {"output_dir": str(tmp_path), "max_steps": 1, "report_to": "none", "use_cpu": True}
    rows = {key: value.tolist() for key, value in batch.items()}
    names = {
        "model": make_model(),
        "batch": batch,
        "dataset": datasets.Dataset.from_dict(rows),
        "Trainer": transformers.Trainer,
        "arguments": transformers.TrainingArguments(**quiet, save_strategy="no"),
    }
    if title == "TRL":
        trl = pytest.importorskip("trl")
        tokenizers = pytest.importorskip("tokenizers")
        words = {"<pad>": 0, "</s>": 2}
        names["tokenizer"] = transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizers.Tokenizer(tokenizers.models.WordLevel(words, "<pad>")),
            pad_token="<pad>",
            eos_token="</s>",
        )
        names["sft_arguments"] = trl.SFTConfig(**quiet, save_strategy="no", bf16=False)
        names["dataset"] = names["dataset"].remove_columns(["labels", "attention_mask"])
    if title == "Lightning":
        lightning = pytest.importorskip("lightning.pytorch")
        from eureka_nlg.losses import Deferred, EurekaLoss

        class Module(lightning.LightningModule):
            def __init__(self):
                super().__init__()
                self.layer = torch.nn.Linear(2, 3)
                self.loss = Deferred(torch.nn.CrossEntropyLoss(), EurekaLoss(), start_epoch=2)

            def training_step(self, batch, _):
                return self.loss(self.layer(batch[0]), batch[1])

            def configure_optimizers(self):
                return torch.optim.SGD(self.parameters(), 0.1)

        data = torch.utils.data.TensorDataset(torch.randn(4, 2), torch.tensor([0, 1, 2, 0]))
        names |= {
            "module": Module(),
            "loader": torch.utils.data.DataLoader(data),
            "LightningTrainer": lightning.Trainer,
            "quiet": {
                "accelerator": "cpu",
                "logger": False,
                "enable_progress_bar": False,
                "enable_model_summary": False,
                "enable_checkpointing": False,
                "default_root_dir": tmp_path,
            },
        }
    if title == "timm":
        pytest.importorskip("timm")
        names |= {"images": torch.randn(2, 3, 64, 64), "labels": torch.tensor([0, 3])}
    before = [parameter.detach().clone() for parameter in names.get("module", names["model"]).parameters()]
    exec(compile(BLOCKS[title], str(DOCUMENT), "exec"), names)
    trained = names.get("module", names["model"])
    if "trainer" in names:
        assert any(not torch.equal(new, old) for new, old in zip(trained.parameters(), before))
    else:
        assert any(parameter.grad is not None for parameter in trained.parameters())

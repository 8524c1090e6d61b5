"""EurekaSFTTrainer against TRL's own trainer and against the loss of the logits."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

transformers = pytest.importorskip("transformers")
trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")

from eureka_nlg.errors import UserError  # noqa: E402
from eureka_nlg.integrations.transformers import EurekaTrainerLoss  # noqa: E402
from eureka_nlg.integrations.trl import EurekaSFTTrainer  # noqa: E402


@pytest.fixture(scope="module")
def tokenizer():
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = {word: number for number, word in enumerate(["<pad>", "<s>", "</s>", *map(str, range(3, 48))])}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=_with(Tokenizer(WordLevel(words, "<pad>")), Whitespace()),
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
    )


def _with(tokenizer, splitter):
    tokenizer.pre_tokenizer = splitter
    return tokenizer


@pytest.fixture
def train(tmp_path, batch, make_model, tokenizer):
    data = datasets.Dataset.from_dict(
        {
            "input_ids": [
                row[kept.bool()].tolist() for row, kept in zip(batch["input_ids"], batch["attention_mask"])
            ],
            "completion_mask": [
                (labels[kept.bool()] != -100).long().tolist()
                for labels, kept in zip(batch["labels"], batch["attention_mask"])
            ],
        }
    )

    def run(cls, model=None, **options):
        extra = {key: options.pop(key) for key in ("eureka",) if key in options}
        arguments = trl.SFTConfig(
            **{
                "output_dir": str(tmp_path),
                "per_device_train_batch_size": 4,
                "max_steps": 2,
                "learning_rate": 0.01,
                "warmup_steps": 0,
                "logging_steps": 1,
                "save_strategy": "no",
                "report_to": "none",
                "use_cpu": True,
                "bf16": False,
                "disable_tqdm": True,
                "completion_only_loss": True,
                "gradient_checkpointing": False,
            }
            | options
        )
        model = make_model() if model is None else model
        trainer = cls(
            model, args=arguments, train_dataset=data, eval_dataset=data, processing_class=tokenizer, **extra
        )
        trainer.train()
        return trainer

    return run


def logged(trainer, key):
    return [entry[key] for entry in trainer.state.log_history if key in entry]


def test_without_encouragement_it_is_sft(train):
    own = train(EurekaSFTTrainer, eureka=EurekaTrainerLoss(0.0, shift=True))
    known = train(trl.SFTTrainer)
    assert logged(own, "loss") == logged(known, "loss")
    for a, b in zip(own.model.parameters(), known.model.parameters()):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_all_forms_are_the_loss_of_the_logits(accumulation, train, make_model, batch, counts):
    losses = [EurekaTrainerLoss.from_counts(counts, shift=True, form=form) for form in ("capped", "paper")]
    for loss in (*losses, EurekaTrainerLoss(loss="focal", shift=True)):
        trainer = train(
            EurekaSFTTrainer,
            eureka=loss,
            max_steps=1,
            gradient_accumulation_steps=accumulation,
            per_device_train_batch_size=8 // accumulation,
        )
        model = make_model()
        logits = model(**{key: value for key, value in batch.items() if key != "labels"})
        expected = copy.copy(loss)(logits, batch["labels"])
        assert logged(trainer, "loss")[0] == pytest.approx(expected.item(), rel=1e-4)
        assert bool(logged(trainer, "reward")) == (loss in losses)
        assert all(reward < 0.0 for reward in logged(trainer, "reward"))
        assert trainer.evaluate()["eval_loss"] > 0.0


def test_likelihoods_that_round_to_one_stay_finite(train, make_model, batch):
    for form in ("capped", "paper"):
        model = make_model()
        with torch.no_grad():
            model.lm_head.weight.mul_(3000.0)
        trainer = train(EurekaSFTTrainer, model=model, eureka=EurekaTrainerLoss(shift=True, form=form))
        assert np.isfinite(logged(trainer, "loss")).all()
        assert all(torch.isfinite(parameter).all() for parameter in trainer.model.parameters())


def test_options_that_it_does_not_go_with(train):
    for options in ({"loss_type": "dft"}, {"label_smoothing_factor": 0.1}):
        with pytest.raises(UserError, match="has its own loss"):
            train(EurekaSFTTrainer, **options)

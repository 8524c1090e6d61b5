"""The loss in transformers' Trainer itself: its log, its evaluation, deferral, resume, other heads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from eureka_nlg.errors import UserError  # noqa: E402
from eureka_nlg.integrations.transformers import (  # noqa: E402
    EurekaTrainerLoss,
    ReplyMetrics,
    apply_eureka,
)


class Rows(Dataset):
    """A batch as a data set."""

    def __init__(self, batch):
        self.batch = batch

    def __len__(self):
        return len(self.batch["labels"])

    def __getitem__(self, index):
        return {key: value[index] for key, value in self.batch.items()}


@pytest.fixture
def train(tmp_path, batch, make_model):
    """Train a tiny model and return its Trainer, or the resumed one."""

    def run(loss, *, way="attach", name="llama", data=None, resume=None, callbacks=(), model=None, **options):
        model = make_model(name) if model is None else model
        arguments = transformers.TrainingArguments(
            **{
                "output_dir": str(tmp_path / "run"),
                "per_device_train_batch_size": 2,
                "num_train_epochs": 2,
                "learning_rate": 0.01,
                "logging_steps": 1,
                "save_strategy": "no",
                "report_to": "none",
                "use_cpu": True,
                "disable_tqdm": True,
                "seed": 3,
                "dataloader_num_workers": 0,
            }
            | options
        )
        data = Rows(batch) if data is None else data
        extra = {}
        if way == "compute_loss_func":
            extra = {"compute_loss_func": loss, "callbacks": [loss.callback, *callbacks]}
        elif way in ("loss_function", "fused"):
            apply_eureka(model, loss, fused=way == "fused")
            extra = {"callbacks": list(callbacks)}
        else:
            extra = {"callbacks": list(callbacks)}
        trainer = transformers.Trainer(model, arguments, train_dataset=data, eval_dataset=data, **extra)
        if way != "compute_loss_func" and loss is not None:
            loss.attach(trainer)
        trainer.train(resume_from_checkpoint=resume)
        return trainer

    return run


def logged(trainer, key):
    return [entry[key] for entry in trainer.state.log_history if key in entry]


# Losses of two epochs of two steps. Where they change, models train differently than they did.
TRAJECTORY = [3.866063, 3.852817, 3.308861, 3.456156]


@pytest.mark.parametrize("way", ["attach", "compute_loss_func", "loss_function", "fused"])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_every_way_trains_the_same(way, accumulation, train, counts):
    loss = EurekaTrainerLoss.from_counts(counts, shift=True)
    batch_size = 4 // accumulation
    trainer = train(
        loss, way=way, gradient_accumulation_steps=accumulation, per_device_train_batch_size=batch_size
    )
    np.testing.assert_allclose(logged(trainer, "loss"), TRAJECTORY, rtol=1e-4)
    for key in ("nll", "likelihood", "bonus", "reward"):
        assert len(logged(trainer, key)) == 4
    for nll, reward, total in zip(*(logged(trainer, key) for key in ("nll", "reward", "loss"))):
        assert nll + reward == pytest.approx(total, rel=1e-3, abs=1e-4)


def test_reporting_callbacks_see_the_numbers(train):
    class Reporter(transformers.TrainerCallback):
        seen: list[dict[str, float]] = []  # noqa: RUF012

        def on_log(self, args, state, control, logs=None, **kwargs):
            self.seen.append(dict(logs))

    train(EurekaTrainerLoss(shift=True), callbacks=[Reporter()], num_train_epochs=1)
    assert {"loss", "nll", "reward"} <= Reporter.seen[0].keys()


def test_eval_loss_is_cross_entropy(train, make_model, batch):
    loss = EurekaTrainerLoss(shift=True)
    for way in ("compute_loss_func", "loss_function", "fused"):
        trainer = train(loss, way=way, max_steps=1, per_device_eval_batch_size=8)
        expected = trainer.model.eval()
        with torch.no_grad():
            logits = expected(**{k: v for k, v in batch.items() if k != "labels"}).logits[:, :-1]
        plain = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels"][:, 1:].flatten())
        assert trainer.evaluate()["eval_loss"] == pytest.approx(plain.item(), rel=1e-5)


@pytest.mark.parametrize("start", [{"start_step": 5}, {"start_epoch": 2}])
def test_deferral_and_resume_in_its_middle(start, train, counts):
    def loss():
        return EurekaTrainerLoss.from_counts(counts, shift=True, **start)

    plain = train(EurekaTrainerLoss(0.0, shift=True))
    whole = train(loss(), save_strategy="steps", save_steps=3)
    assert logged(whole, "loss")[:4] == logged(plain, "loss")[:4]
    assert logged(whole, "reward")[:4] == [0.0] * 4
    assert all(reward < 0.0 for reward in logged(whole, "reward")[4:])
    for step in (3, 6):  # before the reward has started, and after
        resumed = train(loss(), resume=f"{whole.args.output_dir}/checkpoint-{step}")
        for key in ("loss", "nll", "reward"):
            assert logged(resumed, key) == logged(whole, key)
        for own, known in zip(resumed.model.parameters(), whole.model.parameters()):
            assert torch.equal(own, known)


def test_a_training_that_does_not_use_the_loss_is_stopped(train):
    loss = EurekaTrainerLoss(shift=True)
    with pytest.raises(UserError, match="give label_smoothing to the loss"):
        train(loss, way="loss_function", label_smoothing_factor=0.1)
    with pytest.raises(UserError, match="did not use the Eureka loss"):
        train(None, callbacks=[loss.callback])


def _classifier(kind):
    torch.manual_seed(6)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    if kind == "images":
        config = transformers.ViTConfig(image_size=8, patch_size=4, num_labels=5, **small)
        return transformers.ViTForImageClassification(config)
    config = transformers.BertConfig(vocab_size=48, max_position_embeddings=16, num_labels=5, **small)
    head = "TokenClassification" if kind == "tokens" else "SequenceClassification"
    return getattr(transformers, f"BertFor{head}")(config)


@pytest.mark.parametrize("kind", ["tokens", "sequences", "images"])
def test_classifiers(kind, train, batch):
    labels = torch.arange(8) % 5
    if kind == "tokens":
        data = {**batch, "labels": batch["labels"].where(batch["labels"] == -100, batch["labels"] % 5)}
    elif kind == "sequences":
        data = {**batch, "labels": labels}
    else:
        data = {"pixel_values": torch.randn(8, 3, 8, 8), "labels": labels}
    losses = []
    for weight in (None, 0.0, 1.0):  # the model's own loss, and this one
        model = _classifier(kind)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        loss = None if weight is None else EurekaTrainerLoss.for_model(model, weight)
        if loss is not None:
            assert not loss.shift
        trainer = train(
            loss, model=model, data=Rows(data), max_steps=3, per_device_train_batch_size=8, warmup_steps=0
        )
        losses.append(logged(trainer, "loss"))
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    assert losses[2][0] < losses[1][0]


class Words:
    """A tokenizer of numbers."""

    pad_token_id, eos_token_id = 0, 1

    def batch_decode(self, ids, skip_special_tokens):
        assert skip_special_tokens
        return [" ".join(f"w{i}" for i in row if i > 1) for row in ids]


def test_reply_metrics():
    from eureka_nlg.metrics import f_scores, ngram_diversity

    hypotheses = np.array([[5, 6, 7, 8, 9, 0], [5, 5, 5, 5, 1, 0], [7, 8, -100, -100, -100, -100]])
    references = np.array([[5, 6, 4, 8, 9, 1], [5, 3, 1, -100, -100, -100], [7, 8, 1, -100, -100, -100]])
    prediction = transformers.EvalPrediction(predictions=hypotheses, label_ids=references)
    found = ReplyMetrics(Words(), num_resamples=50)(prediction)
    texts = [["w5 w6 w7 w8 w9", "w5 w5 w5 w5", "w7 w8"], ["w5 w6 w4 w8 w9", "w5 w3", "w7 w8"]]
    expected = f_scores(*texts)
    assert found["macro_f"] == pytest.approx(expected.macro)
    assert found["micro_f"] == pytest.approx(expected.micro)
    assert found["diversity_4"] == pytest.approx(ngram_diversity(texts[0]))
    for key in ("macro_f", "micro_f"):
        assert found[f"{key}_low"] < found[key] < found[f"{key}_high"]
    assert ReplyMetrics(Words(), num_resamples=0)(prediction).keys() == {"macro_f", "micro_f", "diversity_4"}

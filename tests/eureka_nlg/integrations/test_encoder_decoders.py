"""Encoder-decoders in the Trainer: what the decoder reads is made of the labels, whoever collates."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from eureka_nlg.errors import UserError  # noqa: E402
from eureka_nlg.integrations.transformers import EurekaTrainerLoss, add_fused_loss  # noqa: E402
from eureka_nlg.integrations.transformers.trainer_loss import decoder_inputs  # noqa: E402

SIZES = {
    **dict.fromkeys(("encoder_layers", "decoder_layers"), 1),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 2),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 16),
    "d_model": 16,
    "vocab_size": 40,
    "max_position_embeddings": 16,
    "dropout": 0.0,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
}


class Rows(Dataset):
    """Sources and labels of equal length, as a data set that is padded to one length."""

    def __init__(self):
        generator = torch.Generator().manual_seed(1)
        self.sources = torch.randint(4, 40, (4, 6), generator=generator)
        self.labels = torch.randint(4, 40, (4, 6), generator=generator)
        self.labels[:, -1] = -100

    def __len__(self):
        return len(self.sources)

    def __getitem__(self, index):
        return {"input_ids": self.sources[index], "labels": self.labels[index]}


def make(name):
    torch.manual_seed(3)
    config = getattr(transformers, f"{name}Config")(**SIZES)
    return getattr(transformers, f"{name}ForConditionalGeneration")(config)


def trainer_of(model, folder, **options):
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        max_steps=1,
        per_device_train_batch_size=4,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        save_strategy="no",
        **options,
    )
    return transformers.Trainer(model=model, args=arguments, train_dataset=Rows(), eval_dataset=Rows())


@pytest.mark.parametrize("name", ["Bart", "MBart", "Blenderbot", "M2M100"])
@pytest.mark.parametrize("fused", [False, True])
def test_the_decoder_reads_what_it_learns(name, fused, tmp_path):
    """The default collator gives no decoder_input_ids, and the Trainer takes the labels away."""
    model = make(name)
    read = []
    decoder = model.get_decoder()
    before = decoder.forward

    def noted(*args, **kwargs):
        read.append(kwargs["input_ids"] if kwargs.get("input_ids") is not None else args[0])
        return before(*args, **kwargs)

    loss = EurekaTrainerLoss.for_model(model, 0.0)
    if fused:
        add_fused_loss(model, loss)
    decoder.forward = noted
    trainer = trainer_of(model, tmp_path)
    loss.attach(trainer)
    rows = Rows()
    batch = {"input_ids": rows.sources, "labels": rows.labels}
    wanted = decoder_inputs(model, rows.labels)
    logits = model(input_ids=rows.sources, decoder_input_ids=wanted).logits.flatten(0, 1)
    expected = F.cross_entropy(logits.double(), rows.labels.flatten())
    read.clear()
    found = trainer.evaluate()["eval_loss"]
    assert found == pytest.approx(expected.item(), rel=1e-5)
    trainer.train()
    assert all(torch.equal(rows_read.sort(0)[0], wanted.sort(0)[0]) for rows_read in read)
    assert set(batch) == {"input_ids", "labels"}


def test_the_shift_is_the_models_own():
    labels = torch.tensor([[5, 6, -100], [7, -100, -100]])
    shifted = decoder_inputs(make("M2M100"), labels)  # a class without a method for it
    assert shifted.tolist() == [[2, 5, 6], [2, 7, 1]]
    assert decoder_inputs(make("MBart"), torch.tensor([[5, 6, 2]])).tolist() == [[2, 5, 6]]
    model = make("Blenderbot")
    model.config.pad_token_id = None
    with pytest.raises(UserError, match=r"Blenderbot.*no decoder_start_token_id"):
        decoder_inputs(model, labels)


def test_a_smoothing_that_the_trainer_would_leave_out_is_refused(tmp_path):
    model = make("Bart")
    trainer = trainer_of(model, tmp_path, label_smoothing_factor=0.1)
    with pytest.raises(UserError, match=r"label_smoothing_factor=0.1.*give label_smoothing to the loss"):
        EurekaTrainerLoss.for_model(model).attach(trainer)


def test_a_fused_loss_that_comes_later_is_used(tmp_path, monkeypatch):
    """`attach` before `add_fused_loss`: no logits are held all the same."""
    model = make("Bart")
    loss = EurekaTrainerLoss.for_model(model, 1.0)
    trainer = loss.attach(trainer_of(model, tmp_path))
    add_fused_loss(model, loss)
    monkeypatch.setattr(loss, "of_logits", lambda *_: pytest.fail("from logits"))
    trainer.train()

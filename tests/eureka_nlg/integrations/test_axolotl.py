"""The plug-in of Axolotl, where Axolotl is installed."""

from __future__ import annotations

import pytest

transformers = pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")
pytest.importorskip("axolotl.integrations.base")

from eureka_nlg.errors import UserError  # noqa: E402
from eureka_nlg.integrations.axolotl import EurekaArguments, EurekaPlugin  # noqa: E402


@pytest.mark.parametrize("options", [{}, {"counts": False, "likelihood_cap": 0.5}])
def test_it_attaches_the_loss(options, make_model, batch, tmp_path):
    plugin = EurekaPlugin()
    assert plugin.get_input_args() == f"{EurekaArguments.__module__}.EurekaArguments"
    rows = datasets.Dataset.from_dict({key: value.tolist() for key, value in batch.items()})
    arguments = transformers.TrainingArguments(
        str(tmp_path), max_steps=1, logging_steps=1, report_to="none", use_cpu=True, save_strategy="no"
    )
    trainer = transformers.Trainer(model=make_model(), args=arguments, train_dataset=rows)
    plugin.post_trainer_create({"eureka": options}, trainer)
    trainer.train()
    assert "reward" in trainer.state.log_history[0]


def test_a_stream_cannot_be_counted(make_model, tmp_path):
    arguments = transformers.TrainingArguments(str(tmp_path), max_steps=1, report_to="none", use_cpu=True)
    stream = datasets.Dataset.from_dict({"labels": [[1, 2]]}).to_iterable_dataset()
    trainer = transformers.Trainer(model=make_model(), args=arguments, train_dataset=stream)
    with pytest.raises(UserError, match="counts: false"):
        EurekaPlugin().post_trainer_create({}, trainer)

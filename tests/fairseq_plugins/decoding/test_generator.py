"""The project's search against fairseq's, on models whose replies differ in length."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("fairseq")

from fairseq.data import Dictionary
from fairseq.optim.adam import FairseqAdam, FairseqAdamConfig
from fairseq.sequence_generator import SequenceGenerator

from eureka_nlg.dialogue.logit_adjustment import LogitAdjustment
from eureka_nlg.dialogue.run_data import TargetCounts
from fairseq_plugins.decoding import generator as generators
from fairseq_plugins.decoding.generator import ReplyGenerator
from fairseq_plugins.kernels import native
from fairseq_plugins.models.lstm_dialogue import LSTMDialogueModel

SIZES = {"embed_dim": 12, "hidden_size": 20, "layers": 2}


@pytest.fixture(autouse=True)
def searches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many batches the project's search decoded, however fast the kernels are here."""
    if native.library() is None:
        pytest.skip("the kernels in C were not compiled")
    monkeypatch.setattr(native, "_is_fast", lambda: True)
    done: list[int] = []
    run = generators._Search.run

    def counted(self: Any) -> Any:
        done.append(1)
        return run(self)

    monkeypatch.setattr(generators._Search, "run", counted)
    return done


def dictionary(size: int = 60) -> Dictionary:
    words = Dictionary()
    for number in range(size - len(words)):
        words.add_symbol(f"word{number}")
    return words


def model_of(words: Dictionary, **options: Any) -> LSTMDialogueModel:
    """With weights that say clearly what comes next, and often the end."""
    args = Namespace(encoder_embed_path=None, decoder_embed_path=None, criterion="cross_entropy")
    for side in ("encoder", "decoder"):
        for name, size in SIZES.items():
            setattr(args, f"{side}_{name}", options.pop(f"{side}_{name}", size))
    widths = {"decoder_out_embed_dim": 12, "max_source_positions": 50, "max_target_positions": 50}
    vars(args).update(widths | options)
    task = Namespace(source_dictionary=words, target_dictionary=words)
    model = LSTMDialogueModel.build_model(args, task)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8)
        if not options.get("share_all_embeddings"):
            model.decoder.fc_out.bias[words.eos()] += 4.5
    return model.eval()


def batch(words: Dictionary, lengths: list[int]) -> dict[str, Any]:
    source = torch.full((len(lengths), max(lengths)), words.pad())
    for row, length in enumerate(lengths):
        source[row, -length:] = torch.randint(4, len(words), (length,))
    return {"net_input": {"src_tokens": source, "src_lengths": torch.tensor(lengths)}}


def assert_same(found: Any, wanted: Any) -> None:
    assert len(found) == len(wanted)
    for mine, theirs in zip(found, wanted):
        assert [one["tokens"].tolist() for one in mine] == [one["tokens"].tolist() for one in theirs]
        for one, other in zip(mine, theirs):
            torch.testing.assert_close(one["score"], other["score"], rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(
                one["positional_scores"], other["positional_scores"], rtol=1e-4, atol=1e-4
            )
            assert one["tokens"].dtype == other["tokens"].dtype


MODELS = {
    "as it comes": {},
    "one layer": {"encoder_layers": 1, "decoder_layers": 1},
    "states of another width": {"decoder_hidden_size": 28},
    "both directions": {"encoder_bidirectional": True},
    "tied": {"share_all_embeddings": True},
    "residual": {"encoder_residual": "1", "encoder_embed_dim": 20, "decoder_embed_dim": 20},
    "no narrow layer": {"decoder_out_embed_dim": 20},
}
SEARCHES = {
    "greedy": {"beam_size": 1},
    "beam": {"beam_size": 4},
    "short": {"beam_size": 3, "max_len_b": 3},
    "by the source": {"beam_size": 2, "max_len_a": 0.5, "max_len_b": 1},
    "at least": {"beam_size": 3, "min_len": 6, "max_len_b": 12},
    "not normalised": {"beam_size": 5, "normalize_scores": False},
    "long ones": {"beam_size": 3, "len_penalty": 2.0},
    "few unknown": {"beam_size": 3, "unk_penalty": 1.5},
    "many unknown": {"beam_size": 3, "unk_penalty": -3.0},
    "flat": {"beam_size": 3, "temperature": 2.0},
}


@pytest.mark.parametrize(
    ("of_model", "of_search"),
    [("as it comes", search) for search in SEARCHES] + [(model, "beam") for model in list(MODELS)[1:]],
)
def test_the_same_replies(of_model: str, of_search: str, searches: list[int]) -> None:
    """Words exactly, scores to float tolerance, over several batches."""
    words = dictionary()
    model = model_of(words, **MODELS[of_model])
    options = {"max_len_b": 20, **SEARCHES[of_search]}
    mine, theirs = (kind([model], words, **options) for kind in (ReplyGenerator, SequenceGenerator))
    lengths = set()
    for sizes in ([9, 7, 7, 5, 4, 1], [3, 3], [6]):
        sample = batch(words, sizes)
        found = mine.generate([model], sample)
        assert_same(found, theirs.generate([model], sample))
        lengths |= {len(one["tokens"]) for of_sentence in found for one in of_sentence}
    assert len(searches) == 3
    assert len(lengths) > 1 or of_model in ("tied", "no narrow layer")


@pytest.mark.parametrize("of_search", ["greedy", "beam", "flat"])
def test_adjusted_likelihoods(of_search: str, searches: list[int]) -> None:
    """Other replies than without, and those that fairseq finds."""
    words = dictionary()
    model = model_of(words)
    options = {"max_len_b": 20, **SEARCHES[of_search]}
    mine, theirs = (kind([model], words, **options) for kind in (ReplyGenerator, SequenceGenerator))
    sample = batch(words, [9, 7, 7, 5, 4, 1])
    plain = mine.generate([model], sample)
    counts = np.arange(len(words)) ** 3
    with LogitAdjustment(4.0, TargetCounts(counts, words.eos())).of_model(model, mine.temperature):
        found = mine.generate([model], sample)
        assert_same(found, theirs.generate([model], sample))
        with LogitAdjustment(1.0, TargetCounts(counts, words.eos())).of_model(model, mine.temperature):
            assert_same(mine.generate([model], sample), theirs.generate([model], sample))  # twice: by fairseq
    assert len(searches) == 2
    assert [one[0]["tokens"].tolist() for one in found] != [one[0]["tokens"].tolist() for one in plain]


def test_weights_that_change_are_seen(searches: list[int]) -> None:
    """In training the same generator decodes again and again."""
    words = dictionary()
    model = model_of(words)
    mine, theirs = (kind([model], words, beam_size=2) for kind in (ReplyGenerator, SequenceGenerator))
    sample = batch(words, [5, 4])
    before = mine.generate([model], sample)
    packed = mine._packed
    mine.generate([model], sample)
    assert mine._packed is packed
    options = FairseqAdamConfig(lr=[0.3], tpu=False, adam_betas="(0.9, 0.999)")
    adam = FairseqAdam(options, list(model.decoder.parameters()))
    for _ in range(2):
        for parameter in model.decoder.parameters():
            parameter.grad = torch.randn_like(parameter)
        adam.step()  # which torch does not count as a change of the parameters
        after = mine.generate([model], sample)
        assert_same(after, theirs.generate([model], sample))
    assert before[0][0]["tokens"].tolist() != after[0][0]["tokens"].tolist()
    with torch.inference_mode():
        of_inference = model_of(words)
        mine = ReplyGenerator([of_inference], words)
        assert mine.generate([of_inference], sample)
    assert len(searches) == 5


@pytest.mark.parametrize(
    "options",
    [
        {"no_repeat_ngram_size": 2},
        {"match_source_len": True},
        {"tokens_to_suppress": ["word3"]},
        {"beam_size": 29},  # nearly as many as there are words
    ],
)
def test_fairseq_does_what_is_not_plain(options: dict[str, Any], searches: list[int]) -> None:
    words = dictionary()
    model = model_of(words)
    mine, theirs = (kind([model], words, **options) for kind in (ReplyGenerator, SequenceGenerator))
    sample = batch(words, [5, 4])
    assert_same(mine.generate([model], sample), theirs.generate([model], sample))
    assert not searches


def test_fairseq_decodes_other_models_and_prefixes(searches: list[int]) -> None:
    words = dictionary()
    sample = batch(words, [5, 4])
    fed = model_of(words, input_feeding="1")
    mine, theirs = (kind([fed], words) for kind in (ReplyGenerator, SequenceGenerator))
    assert_same(mine.generate([fed], sample), theirs.generate([fed], sample))
    both = [model_of(words), model_of(words)]
    mine, theirs = (kind(both, words) for kind in (ReplyGenerator, SequenceGenerator))
    assert_same(mine.generate(both, sample), theirs.generate(both, sample))
    mine, theirs = (kind(both[:1], words) for kind in (ReplyGenerator, SequenceGenerator))
    prefix = {"prefix_tokens": torch.tensor([[7], [8]])}
    assert_same(mine.generate(both, sample, **prefix), theirs.generate(both, sample, **prefix))
    both[0].get_normalized_probs = both[0].get_normalized_probs  # somebody's own
    mine.generate(both, sample)
    both[0].double()
    assert not searches


def test_a_diverged_model(searches: list[int]) -> None:
    """fairseq's search has the last word: it finds no reply in NaN, and says so by an assertion."""
    words = dictionary()
    model = model_of(words)
    with torch.no_grad():
        model.decoder.fc_out.bias[9] = torch.nan
    mine, theirs = (kind([model], words, max_len_b=4) for kind in (ReplyGenerator, SequenceGenerator))
    sample = batch(words, [5, 4])
    for generator in (theirs, mine):
        with pytest.raises(AssertionError):
            generator.generate([model], sample)
    assert len(searches) == 1


def test_too_short_a_limit_is_refused_as_by_fairseq() -> None:
    words = dictionary()
    model = model_of(words)
    mine = ReplyGenerator([model], words, min_len=9, max_len_b=4)
    with pytest.raises(AssertionError, match="min_len cannot be larger than max_len"):
        mine.generate([model], batch(words, [5]))

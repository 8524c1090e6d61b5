"""Logit adjustment afterwards: the distribution against its formula, and what is decoded from it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from eureka_nlg.dialogue.logit_adjustment import LogitAdjustment
from eureka_nlg.dialogue.run_data import RunData, TargetCounts
from eureka_nlg.errors import UserError

END = 2
COUNTS = np.array([0, 0, 30, 4, 50, 9, 3, 0, 1])


def adjusted(logits: Tensor, tau: float, temperature: float = 1.0, kept: tuple[int, ...] = (END,)) -> Tensor:
    """In float64: softmax of logits less tau log pi over the words, times what is not kept as it is."""
    likelihood = (logits.double() / temperature).softmax(-1)
    prior = torch.tensor(COUNTS / COUNTS.sum())
    rest = logits.double() - tau * torch.where(prior > 0, prior, 1.0).log()
    rest[..., kept] = -math.inf
    result = (1 - likelihood[..., kept].sum(-1, keepdim=True)) * (rest / temperature).softmax(-1)
    result[..., kept] = likelihood[..., kept]
    return result


@pytest.mark.parametrize("tau", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("marks", [(), (4,), (4, 6)])
def test_formula(tau: float, temperature: float, marks: tuple[int, ...]) -> None:
    logits = 3 * torch.randn(2, 4, len(COUNTS))
    call = LogitAdjustment(tau, TargetCounts(COUNTS, END, marks))
    wanted = adjusted(logits, tau, temperature, (END, *marks))
    torch.testing.assert_close(wanted.sum(-1), torch.ones(2, 4).double())
    found = call((logits / temperature).log_softmax(-1), temperature)
    torch.testing.assert_close(found.double().exp(), wanted, rtol=1e-5, atol=1e-6)
    assert call((logits / temperature).log_softmax(-1).half(), temperature).dtype == torch.float16
    rows = (logits / temperature).flatten(0, 1)
    call.adjust_logits(rows, temperature)
    torch.testing.assert_close(rows.double().softmax(-1), wanted.flatten(0, 1), rtol=1e-5, atol=1e-6)


def test_a_reply_that_surely_ends_stays_one() -> None:
    certain = torch.full((1, len(COUNTS)), -math.inf)
    certain[0, END] = 0.0
    call = LogitAdjustment(1.0, TargetCounts(COUNTS, END))
    torch.testing.assert_close(call(certain), certain)
    logits = certain.clone()
    call.adjust_logits(logits)
    torch.testing.assert_close(logits, certain)


def test_what_cannot_work() -> None:
    for tau in (-0.1, math.nan, math.inf):
        with pytest.raises(UserError, match=f"--logit-adjustment must be .*, got {tau}"):
            LogitAdjustment(tau, TargetCounts(COUNTS, END))
    with pytest.raises(UserError, match=r"--logit-adjustment: .*zero for all"):
        LogitAdjustment(1.0, TargetCounts(np.zeros(3, dtype=np.int64), END))
    with pytest.raises(UserError, match="the model has 3 words, the dictionary of the training targets 9"):
        LogitAdjustment(1.0, TargetCounts(COUNTS, END))(torch.zeros(1, 3))
    with pytest.raises(UserError, match="the model has 3 words, the dictionary of the training targets 9"):
        LogitAdjustment(1.0, TargetCounts(COUNTS, END)).adjust_logits(torch.zeros(1, 3))


@pytest.fixture
def model() -> Any:
    """Logits of a word are a row of a table, chosen by the word before it."""
    pytest.importorskip("fairseq")
    from fairseq.data import Dictionary
    from fairseq.models import FairseqDecoder, FairseqEncoder, FairseqEncoderDecoderModel

    class Encoder(FairseqEncoder):
        def forward(self, src_tokens: Tensor, src_lengths: Tensor, **_: Any) -> dict[str, list[Tensor]]:
            return {"encoder_out": [torch.zeros(1, len(src_tokens), 1)]}

        def reorder_encoder_out(self, encoder_out: Any, new_order: Tensor) -> Any:
            return {"encoder_out": [encoder_out["encoder_out"][0].index_select(1, new_order)]}

    class Decoder(FairseqDecoder):
        def __init__(self, dictionary: Dictionary) -> None:
            super().__init__(dictionary)
            self.table = nn.Embedding(len(dictionary), len(dictionary))
            nn.init.normal_(self.table.weight, std=0.5)
            with torch.no_grad():  # a word is as likely as it is frequent, more or less
                self.table.weight += torch.from_numpy(COUNTS / COUNTS.sum()).float().clamp(min=1e-3).log()

        def forward(self, prev_output_tokens: Tensor, **_: Any) -> tuple[Tensor, None]:
            return self.table(prev_output_tokens), None

        def max_positions(self) -> int:
            return 20

    words = Dictionary()
    for number in range(len(COUNTS) - len(words)):
        words.add_symbol(f"word{number}")
    torch.manual_seed(3)
    return FairseqEncoderDecoderModel(Encoder(words), Decoder(words))


@pytest.mark.parametrize("beam", [1, 3])
def test_searched_as_is_and_adjusted(model: Any, beam: int) -> None:
    """Greedy search by hand, and the score of what beam search finds, on the adjusted distribution."""
    from fairseq.sequence_generator import SequenceGenerator

    table, words = model.decoder.table.weight.detach(), model.decoder.dictionary
    found = {}
    for tau in (0.0, 0.8):
        search = SequenceGenerator([model], words, beam_size=beam, max_len_b=6, normalize_scores=False)
        sample = {"net_input": {"src_tokens": torch.full((1, 2), 4), "src_lengths": torch.tensor([2])}}
        with LogitAdjustment(tau, TargetCounts(COUNTS, END)).of_model(model), torch.no_grad():
            best = search.generate([model], sample)[0][0]
        found[tau] = best["tokens"].tolist()
        likelihood = adjusted(table, tau)
        likelihood[:, words.pad()] = 0.0
        before = [END, *found[tau][:-1]]
        score = sum(likelihood[one, other].log().item() for one, other in zip(before, found[tau]))
        assert best["score"].item() == pytest.approx(score, rel=1e-4)
        if beam == 1:
            first = likelihood[END].clone()
            first[END] = 0.0  # fairseq's shortest reply is a word
            wanted = [int(first.argmax())]
            while wanted[-1] != END and len(wanted) < 6:
                wanted.append(int(likelihood[wanted[-1]].argmax()))
            assert found[tau][: len(wanted)] == wanted
    assert found[0.0] != found[0.8]


def test_counts_are_those_of_all_training_targets(tmp_path: Path) -> None:
    """By hand, over two data folders, one of them with its training data in two files."""
    pytest.importorskip("fairseq")
    from fairseq.binarizer import FileBinarizer, VocabularyDatasetBinarizer
    from fairseq.data import Dictionary

    words = Dictionary()
    for word in ("a", "b", "c", "?", "''"):
        words.add_symbol(word, n=7)  # no count of anything
    parts = {"one/train": "a b\na\n", "one/train1": "b x\n", "two/train": "a a ?\n"}
    for name, text in parts.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        words.save(str(path.parent / "dict.reply.txt"))
        path.with_suffix(".txt").write_text(text)
        FileBinarizer.multiprocess_dataset(
            str(path.with_suffix(".txt")),
            "mmap",
            VocabularyDatasetBinarizer(words),
            f"{path}.context-reply.reply",
            vocab_size=len(words),
        )
    found = RunData.find(f"{tmp_path / 'one'}:{tmp_path / 'two'}").target_counts()
    # <s> <pad> </s> <unk> a b c ? ''
    assert found.counts.tolist() == [0, 0, 4, 1, 4, 2, 0, 1, 0]
    assert (found.end, found.marks) == (END, (7, 8))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: no train\.SOURCE-TARGET\.TARGET\.idx"):
        RunData.find(str(tmp_path / "empty")).target_counts()

"""Models of transformers as runs: found, loaded without code, decoded, scored."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

transformers = pytest.importorskip("transformers")

from tiny_model import save_model, write_conversations  # noqa: E402

from eureka_nlg.cli.main import main  # noqa: E402
from eureka_nlg.errors import UserError  # noqa: E402
from eureka_nlg.finetune.model import load_folder  # noqa: E402
from eureka_nlg.finetune.run_folder import FinetuneFolder  # noqa: E402
from eureka_nlg.finetune.talker import TransformersTalker  # noqa: E402
from eureka_nlg.runs.base import Conversation, Reply, Run, Talker  # noqa: E402
from eureka_nlg.runs.decoding import Decoding  # noqa: E402
from eureka_nlg.runs.find import load_run  # noqa: E402

SAID = [
    ("hello", "hello there", "how are you", "fine thanks"),
    ("how are you ?", "i am fine", "hello", "there"),
    ("i am there", "thanks"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("transformers")
    save_model(folder / "model", scale=8.0)
    write_conversations(folder / "data", SAID, ("train", "test"))
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return load_run(folder / "model", str(folder / "data"))


@pytest.fixture(scope="module")
def talker(run: Run) -> Talker:
    return run.talker(cpu=True)


def plain(folder: Path):
    return (
        transformers.AutoModelForCausalLM.from_pretrained(folder / "model").eval(),
        transformers.AutoTokenizer.from_pretrained(folder / "model"),
    )


def test_batches_with_padding_decode_as_one_by_one(folder: Path, run: Run) -> None:
    """Against transformers' own generate, a context at a time."""
    decoded = run.decode("test", Decoding(beam=1, max_length=6))
    assert decoded.references == ["hello there", "fine thanks", "i am fine", "there", "thanks"]
    assert decoded.contexts[1] == "<partner> hello <self> hello there <partner> how are you"
    model, tokenizer = plain(folder)
    expected = []
    for said in SAID:
        for place in range(1, len(said), 2):
            text = "".join(
                f"{('user', 'assistant')[at % 2]}:\n{said[at]}{'</s>' * (at % 2)}\n" for at in range(place)
            )
            ids = tokenizer(f"{text}assistant:\n", return_tensors="pt", add_special_tokens=False).input_ids
            output = model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=6, min_new_tokens=1
            )
            expected.append(tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True))
    assert decoded.replies == expected
    assert len(set(expected)) > 1


def test_likelihoods_are_those_of_a_plain_forward_pass(folder: Path, run: Run, talker: Talker) -> None:
    conversation = Conversation(("hello", "hello there", "how are you"), ("i am fine",))
    found = talker.likelihoods(conversation, Reply("fine thanks", "fine thanks", None))
    assert [piece for piece, _ in found] == ["fine", "thanks", "</s>"]
    model, tokenizer = plain(folder)
    text = "system:\ni am fine\nuser:\nhello\nassistant:\nhello there</s>\n"
    text += "user:\nhow are you\nassistant:\nfine thanks</s>"
    ids = tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids
    with torch.no_grad():
        scores = model(ids).logits.double().log_softmax(-1)[0]
    expected = [float(scores[-4 + place, ids[0, -3 + place]]) for place in range(3)]
    assert [value for _, value in found] == pytest.approx(expected, rel=1e-4)


def test_all_tokens_of_the_assistant_are_scored(run: Run, talker: Talker) -> None:
    model = run.scoring_model(cpu=True)
    batches = list(model.likelihoods("test"))
    targets = np.concatenate([targets for targets, _, _ in batches])
    counts = np.bincount(targets, minlength=len(model.symbols))
    assert np.array_equal(counts, model.class_counts)  # the test data are the training data here
    names = dict(zip(model.symbols, counts.tolist()))
    assert (names["</s>"], names["hello"], names["thanks"], names["how"]) == (5, 1, 2, 0)
    last = talker.likelihoods(Conversation(SAID[0][:3]), Reply("", SAID[0][3], None))
    assert batches[0][1][-3:].tolist() == pytest.approx([value for _, value in last], rel=1e-5)
    (drawn,) = model.likelihoods("test", sample=1)
    assert len(drawn[0]) < len(targets)


def test_n_best_and_sampling(talker: Talker) -> None:
    conversation = Conversation(("hello",))
    (best,) = talker.replies([conversation], Decoding(beam=4, nbest=3, max_length=5))
    assert len({reply.text for reply in best}) == 3
    scores = [reply.score for reply in best]
    assert scores == sorted(scores, reverse=True)
    for reply in best:  # the score is the mean log-likelihood, its end included if it has one
        values = [value for _, value in talker.likelihoods(conversation, reply)]
        assert min(abs(reply.score - np.mean(part)) for part in (values, values[:-1])) < 1e-3
    sampling = Decoding(sampling=True, nbest=2, top_k=5, temperature=2.0, max_length=8, seed=3)
    first, second = (talker.replies([conversation], sampling) for _ in range(2))
    assert [reply.text for reply in first[0]] == [reply.text for reply in second[0]]
    assert first[0][0].score is None


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_encoder_decoders_read_batches_as_one_by_one(name: str, folder: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "model")
    torch.manual_seed(0)
    shared = {"vocab_size": len(tokenizer), "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    if name == "t5":
        config = transformers.T5Config(d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2, **shared)
        model = transformers.T5ForConditionalGeneration(config)
    else:
        sizes = dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 24)
        sizes |= dict.fromkeys(("encoder_layers", "decoder_layers"), 1)
        sizes |= dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 2)
        config = transformers.BartConfig(
            d_model=16, max_position_embeddings=64, init_std=1.0, **sizes, **shared
        )
        model = transformers.BartForConditionalGeneration(config)
    model.save_pretrained(folder / name)
    tokenizer.save_pretrained(folder / name)
    talker = TransformersTalker(load_folder(FinetuneFolder.find(folder / name), cpu=True))
    short = [{"role": "user", "content": "hello"}]
    long = [{"role": "user", "content": "how are you there i am fine thanks"}]
    options = {"num_beams": 1, "do_sample": False, "max_new_tokens": 5}
    together = talker.replies([short, long], **options)
    assert [reply[0][0] for reply in together] == [
        talker.replies([each], **options)[0][0][0] for each in (short, long)
    ]
    answered = [*short, {"role": "assistant", "content": "fine"}]
    assert len(talker.score(answered, last_only=True).ids) >= 1


def test_the_oldest_messages_are_left_out(folder: Path) -> None:
    loaded = load_folder(FinetuneFolder.find(folder / "model"), cpu=True)
    talker = TransformersTalker(type(loaded)(loaded.model, loaded.tokenizer, 12, None))
    messages = [{"role": "system", "content": "i am fine"}]
    messages += [{"role": ("user", "assistant")[place % 2], "content": "hello there"} for place in range(9)]
    ids = talker.prompt(messages)
    assert len(ids) <= 12
    text = loaded.tokenizer.decode(ids)
    assert text.startswith("<unk> : i am fine user : hello there assistant :")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "no *.safetensors in it or in its checkpoints"),
        ({"pytorch_model.bin": pickle.dumps("no weights")}, "its weights are pickled"),
        ({"model.safetensors": b"no weights"}, "model "),
    ],
)
def test_what_cannot_be_loaded(change: dict[str, bytes], said: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((folder / "model" / "config.json").read_bytes())
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / "model" / name).read_bytes())
    for name, content in change.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said.replace("*", r"\*")):
        load_run(tmp_path).talker(cpu=True)


def test_code_in_a_folder_is_not_run(folder: Path, tmp_path: Path) -> None:
    """A model whose class is in the folder is refused, and its file is not imported."""
    model = save_model(tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    config |= {
        "model_type": "my_own",
        "auto_map": {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.M"},
    }
    (model / "config.json").write_text(json.dumps(config))
    (model / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(UserError, match=r"model .*"):
        load_run(model).talker(cpu=True)
    assert not (tmp_path / "ran").exists()


def test_checkpoints_and_other_paths(folder: Path, tmp_path: Path) -> None:
    for step in (9, 10):
        save_model(tmp_path / f"checkpoint-{step}")
    (tmp_path / "finetune.json").write_text(json.dumps({"options": {"data": str(folder / "data")}}))
    run = load_run(tmp_path)
    assert run.weights == (tmp_path / "checkpoint-10" / "model.safetensors",)
    assert run.data == str(folder / "data")
    assert load_run(tmp_path / "checkpoint-9").data == run.data
    assert run.default_split() == "test"
    with pytest.raises(UserError, match="its splits are test, train: give --split"):
        run.check_split("valid")
    with pytest.raises(UserError, match="does not record its training data: give --data"):
        load_run(folder / "model").default_split()
    with pytest.raises(UserError, match="is a file of weights; give its folder"):
        load_run(run.weights[0])


def test_generate_and_analyse_take_them(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data, out = folder / "model", folder / "data", tmp_path / "replies.txt"
    options = ["--beam", "1", "--max-len-b", "6", "--out", str(out), "--perplexity"]
    assert main(["generate", str(model), "--data", str(data), *options]) == 0
    assert len(out.read_text().splitlines()) == 5
    assert (tmp_path / "references.test.txt").read_text().splitlines()[1] == "fine thanks"
    perplexity = float((tmp_path / "replies.perplexity").read_text())
    assert "eureka evaluate --hypotheses" in capsys.readouterr().out
    document = tmp_path / "analysis.json"
    assert main(["analyse", str(model), "--data", str(data), "--cpu", "--out", str(document)]) == 0
    numbers = json.loads(document.read_text())["systems"]["model"]["splits"]["test"]["all"]
    assert numbers["perplexity"] == pytest.approx(perplexity, rel=1e-4)
    assert main(["generate", str(model), "--data", str(data), "--", "--print-alignment"]) == 2
    assert "--print-alignment: is for fairseq-generate" in capsys.readouterr().err
    messages = tmp_path / "messages.txt"
    messages.write_text("hello\nhello\thello there\thow are you\n")
    options = ["--input", str(messages), "--beam", "3", "--nbest", "2", "--max-len-b", "4", "--out", str(out)]
    assert main(["generate", str(model), *options]) == 0
    assert [line.count("\t") for line in out.read_text().splitlines()] == [1, 1]


def test_decoding_says_what_does_not_go_together() -> None:
    for values, said in (
        ({"beam": 0}, "beam 0: expected a number from 1 to 100"),
        ({"top_k": 5}, "top_k: is for sampling"),
        ({"nbest": 101}, "nbest 101: expected a number from 1 to 100"),
        ({"temperature": math.nan}, "temperature nan"),
        ({"beam": 2.5}, "beam 2.5"),
        ({"beam": None}, "beam None: expected a number"),
        ({"beam": True}, "beam True: expected a number"),
        ({"sampling": "yes"}, "sampling 'yes': expected true or false"),
    ):
        with pytest.raises(UserError, match=said):
            Decoding(**values)
    with pytest.raises(UserError, match="is for sampling"):
        Decoding(temperature=2.0).transformers_options()

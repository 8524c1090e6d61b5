"""``eureka finetune`` on a tiny model from a folder: trained, resumed, decoded; what does not fit is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

transformers = pytest.importorskip("transformers")
pytest.importorskip("datasets")

from full_disk import largest_file  # noqa: E402
from tiny_model import make_tokenizer, save_model, write_conversations  # noqa: E402

from eureka_nlg.cli.main import main  # noqa: E402
from eureka_nlg.datasets_cache import cache_dir  # noqa: E402
from eureka_nlg.errors import UserError  # noqa: E402
from eureka_nlg.files import exclusive  # noqa: E402
from eureka_nlg.finetune.conversations import PLAIN_TEMPLATE, examples_of  # noqa: E402
from eureka_nlg.finetune.model import load_folder  # noqa: E402
from eureka_nlg.finetune.options import read_finetune_config  # noqa: E402
from eureka_nlg.finetune.run_folder import FinetuneFolder  # noqa: E402

OWN_MEANS = {"nll", "likelihood", "bonus", "reward"}  # of a step, beside what the Trainer logs


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


@pytest.fixture
def folders(tmp_path):
    save_model(tmp_path / "model")
    said = [("hello", "hello there"), ("how are you", "i am fine thanks")]
    data = write_conversations(tmp_path / "data", said * 4, ("train", "valid", "test"))
    config = tmp_path / "config.yaml"
    config.write_text(
        f"model: {tmp_path / 'model'}\ndata: {data}\noutput_dir: {tmp_path / 'run'}\nlearning_rate: 2e-2\n"
        "per_device_train_batch_size: 4\nmax_steps: 4\nsave_steps: 2\nlogging_steps: 1\nreport_to: none\n"
        "use_cpu: true\ndisable_tqdm: true\n"
    )
    return tmp_path


def log(folder: Path) -> list[dict[str, float]]:
    return json.loads((folder / "trainer_state.json").read_text())["log_history"]


@pytest.mark.parametrize(
    "options", [[], ["lora_rank=2", "encouragement=one"], ["loss=cross_entropy", "fused=false"]]
)
def test_it_trains_resumes_and_decodes(options, folders, capsys):
    run = ["finetune", str(folders / "config.yaml"), *options]
    folder = folders / "run"
    assert main([*run, "max_steps=2"]) == 0
    cut = folder / "checkpoint-3"  # by a kill: the Trainer's state is what it writes last
    cut.mkdir()
    (cut / "model.safetensors").write_bytes(b"cut")
    with exclusive(folder):
        assert main(run) == 2
    assert "run: another process is writing it" in capsys.readouterr().err
    assert main([*run, "decode_split=test", "max_new_tokens=5"]) == 0
    told = capsys.readouterr()
    assert "eureka evaluate" in told.out
    assert "tokenising 8 conversations" in told.err
    assert "it/s" not in told.err  # no bars without a terminal
    assert "examples/s" not in told.err
    assert not cut.exists()
    # killed after its last step it has no step to do, and the model to write
    weights = folder / ("adapter_model.safetensors" if "lora_rank=2" in options else "model.safetensors")
    before = weights.read_bytes()
    weights.unlink()
    assert main(run) == 0
    assert weights.read_bytes() == before
    assert not (folder / "checkpoint-5").exists()
    logged = log(folder)
    steps = [entry["step"] for entry in logged if "loss" in entry]
    assert steps == [1, 2, 3, 4]  # the first two were not run again: the trainer's state says so
    own = (
        set() if "fused=false" in options else OWN_MEANS
    )  # the Trainer's own cross-entropy logs none of these
    assert own == OWN_MEANS & logged[0].keys()
    assert (folder / "target_counts.safetensors").exists() == (options == [])
    replies = (folder / "replies.test.txt").read_text().splitlines()
    references = (folder / "references.test.txt").read_text().splitlines()
    assert len(replies) == len(references) == 8
    assert references[:2] == ["hello there", "i am fine thanks"]
    name = "adapter_model.safetensors" if "lora_rank=2" in options else "model.safetensors"
    assert (folder / name).exists()


def test_the_best_model_stays_and_other_options_are_refused(folders, capsys):
    """The same command again, as the next step may need it; and a comparison that forgot its output_dir."""
    run = ["finetune", str(folders / "config.yaml"), "load_best_model_at_end=true", "eval_strategy=steps"]
    run += ["eval_steps=2", "learning_rate=0.5", "label_smoothing_factor=0.1"]
    assert main(run) == 0
    folder = folders / "run"
    state = json.loads((folder / "trainer_state.json").read_text())
    best = Path(state["best_model_checkpoint"])
    weights = (folder / "model.safetensors").read_bytes()
    assert weights == (best / "model.safetensors").read_bytes()
    assert main([*run, "decode_split=test", "max_new_tokens=3"]) == 0
    assert (folder / "model.safetensors").read_bytes() == weights
    record = (folder / "finetune.json").read_text()
    capsys.readouterr()
    assert main([*run, "loss=cross_entropy", "learning_rate=0.1", "seed=7"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "holds a training with other options: loss ('eureka' there, 'cross_entropy' now)" in said
    assert "learning_rate (0.5 there, 0.1 now), seed (42 there, 7 now); give another output_dir" in said
    assert (folder / "finetune.json").read_text() == record


def test_a_training_that_did_not_begin_binds_to_nothing(folders, capsys):
    """Its record and the counts are there, and no weights: options may be mended."""
    run = ["finetune", str(folders / "config.yaml")]
    assert main([*run, "load_best_model_at_end=true", "eval_strategy=no"]) == 2
    (folders / "run").mkdir(exist_ok=True)
    assert main([*run, "max_steps=1"]) == 0
    for path in [*(folders / "run").glob("checkpoint-*"), folders / "run" / "model.safetensors"]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert (folders / "run" / "target_counts.safetensors").exists()
    assert main([*run, "max_steps=1", "seed=7"]) == 0


def test_what_the_template_writes_after_a_reply_ends_it(folders):
    """ChatML ends turns with a special token that is not the tokenizer's end."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folders / "model")
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_end|>"]})
    model.resize_token_embeddings(len(tokenizer))
    tokenizer.chat_template = (
        "{% for message in messages %}{{ message['role'] + ' ' + message['content'] }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant ' }}{% endif %}"
    )
    model.save_pretrained(folders / "chatml")
    tokenizer.save_pretrained(folders / "chatml")
    loaded = load_folder(FinetuneFolder.find(folders / "chatml"), cpu=True)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert end in loaded.model.generation_config.eos_token_id
    plain = load_folder(FinetuneFolder.find(folders / "model"), cpu=True)
    assert plain.model.generation_config.eos_token_id == plain.tokenizer.eos_token_id


def test_a_full_disk_is_one_line_and_the_last_checkpoint_is_whole(folders, capsys):
    run = ["finetune", str(folders / "config.yaml"), "loss=cross_entropy"]
    assert main([*run, "max_steps=2"]) == 0
    folder = folders / "run"

    def files() -> dict[Path, bytes]:
        found = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        del found[folder / "finetune.json"]  # its options are those of the last command
        return found

    before = files()
    capsys.readouterr()
    with largest_file(len((folder / "model.safetensors").read_bytes()) - 1):
        assert main(run) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "cannot be written" in error
    assert "goes on from the last checkpoint that is whole" in error
    assert files() == before
    assert main(run) == 0
    assert [entry["step"] for entry in log(folder) if "loss" in entry] == [1, 2, 3, 4]


def test_only_what_the_assistant_says_is_learned(tokenizer):
    tokenizer.chat_template = PLAIN_TEMPLATE
    text = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    assert text == "user:\nhi\n"
    messages = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "hello there"},
        {"role": "user", "content": "how are you"},
        {"role": "assistant", "content": "fine thanks"},
    ]
    (example,) = examples_of(messages, tokenizer, False, 100)
    learned = [label for label in example["labels"] if label != -100]
    assert tokenizer.decode(learned) == "hello there </s> fine thanks </s>"
    assert all(label in (-100, token) for label, token in zip(example["labels"], example["input_ids"]))
    (short,) = examples_of(messages, tokenizer, False, 4)
    assert short["labels"] == example["labels"][-4:]
    first, second = examples_of(messages, tokenizer, True, 100)
    assert tokenizer.decode(second["labels"]) == "fine thanks"
    assert tokenizer.decode(first["input_ids"]).startswith("user : hello assistant :")
    tokenizer.chat_template = "{% if messages | length > 2 %}{{ 'hello ' }}{% endif %}" + PLAIN_TEMPLATE
    with pytest.raises(UserError, match="chat template"):
        examples_of(messages, tokenizer, False, 100)
    tokenizer.chat_template = None


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("learning_rat=1", "did you mean learning_rate"),
        ("loss=focus", "invalid choice"),
        ("max_length=many", "invalid int"),
        ("data=nowhere", "neither train.jsonl nor train.parquet"),
        ("model=nowhere", "model nowhere"),
    ],
)
def test_what_does_not_fit_is_said(override, said, folders, capsys, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the variable was read before
    assert main(["finetune", str(folders / "config.yaml"), override]) == 2
    assert said in capsys.readouterr().err


def test_a_model_that_cannot_have_the_fused_loss_is_told_the_option(folders, capsys, monkeypatch):
    def refuse(model, loss):
        raise UserError("the logits are capped")

    monkeypatch.setattr("eureka_nlg.finetune.run.add_fused_loss", refuse)
    run = ["finetune", str(folders / "config.yaml"), "loss=cross_entropy"]
    assert main(run) == 2
    assert "the logits are capped; in a config that is fused=false" in capsys.readouterr().err
    assert main([*run, "fused=false", "max_steps=1"]) == 0


def test_every_config_is_read():
    configs = sorted((Path(__file__).parents[3] / "configs" / "finetune").rglob("*.yaml"))
    assert configs
    for path in configs:
        if "train_sampling_strategy" in path.read_text() and not hasattr(
            transformers.TrainingArguments, "train_sampling_strategy"
        ):
            with pytest.raises(
                UserError, match=r"unknown option train_sampling_strategy \(with transformers 5\."
            ):
                read_finetune_config(path)
            continue
        options, arguments = read_finetune_config(path, ["use_cpu=true", "report_to=none"])
        assert options.form == "capped"
        assert arguments.learning_rate in (5e-5, 1e-4)


def test_fused_cross_entropy_takes_the_steps_of_the_trainers_own(folders):
    losses = []
    for fused in ("true", "false"):
        config = [str(folders / "config.yaml"), "loss=cross_entropy", f"fused={fused}"]
        assert main(["finetune", *config, f"output_dir={folders / fused}"]) == 0
        logged = [entry for entry in log(folders / fused) if "loss" in entry]
        own = {"nll", "likelihood"} if fused == "true" else set()
        assert own == OWN_MEANS & logged[0].keys()  # no reward
        losses.append([entry["loss"] for entry in logged])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0][0] != losses[0][-1]


def test_options_of_the_loss_are_those_of_all_surfaces(folders):
    """Safe defaults; each under the name that it has in every config, and refused when the config is read."""
    config = folders / "config.yaml"
    options, _ = read_finetune_config(config)
    assert (options.beta, options.likelihood_cap) == (0.999, 0.75)
    assert options.encouragement_normalization == "mean_weight"
    _, arguments = read_finetune_config(config, ["save_strategy=no"])  # which YAML reads as false
    assert arguments.save_strategy == "no"
    options, _ = read_finetune_config(config, ["bonus=power", "bonus_gamma=2", "bonus_threshold=0.5"])
    assert (options.bonus, options.bonus_gamma, options.bonus_threshold) == ("power", 2.0, 0.5)
    options, _ = read_finetune_config(config, ["loss=focal", "focal_gamma=1"])
    assert (options.loss, options.focal_gamma) == ("focal", 1.0)
    refused = ("likelihood_cap=1.5", "mixce_eta=2", "bonus_threshold=-1", "encouragement_scale=-1", "beta=2")
    for override in refused:
        with pytest.raises(UserError, match=f"{override.split('=')[0]} must be"):
            read_finetune_config(config, [override])
    read_finetune_config(config, ["form=paper"])
    with pytest.raises(
        UserError, match=r"likelihood_cap must be left out with form=paper, which has no cap, got 0\.9"
    ):
        read_finetune_config(config, ["form=paper", "likelihood_cap=0.9"])
    for name, seed in (("seed", -1), ("data_seed", 2**32)):  # numpy would refuse them after loading
        with pytest.raises(UserError, match=f"{name}: {seed}, expected 0 to 4,294,967,295"):
            read_finetune_config(config, [f"{name}={seed}"])


def test_where_datasets_cannot_keep_a_copy(folders, monkeypatch, tmp_path):
    """As for a user without a home: `datasets` has its folder there."""
    import datasets

    cache_dir.cache_clear()
    (tmp_path / "file").touch()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "file" / "datasets")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    try:
        assert main(["finetune", str(folders / "config.yaml"), "max_steps=1"]) == 0
        assert list(tmp_path.glob("eureka-nlg-*/**/*.arrow"))
    finally:
        cache_dir.cache_clear()

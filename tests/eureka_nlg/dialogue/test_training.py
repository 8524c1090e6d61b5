"""A YAML becomes fairseq-train arguments; what fairseq would trip over is said before it starts."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch

from eureka_nlg.dialogue import training
from eureka_nlg.dialogue.training import (
    check_arguments,
    fairseq_arguments,
    is_first_process,
    mend_last_checkpoint,
    read_config,
    shown_command,
    slow_bfloat16,
)
from eureka_nlg.dialogue.workers import check_shared_memory
from eureka_nlg.errors import UserError


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("data: some/data\narch: lstm_convai2\nlr: 5e-4\nno-save: true\npatience:\nlist: [1, 2]\n")
    return path


def test_entries_become_options_in_their_order(config: Path) -> None:
    arguments = fairseq_arguments({**read_config(config), "user_dir": "plugins"})
    assert arguments == [
        *("some/data", "--user-dir", "plugins", "--arch", "lstm_convai2"),
        *("--lr", "5e-4", "--no-save", "--list", "1,2"),
        *("--update-epoch-batch-itr", "True", "--load-checkpoint-on-all-dp-ranks"),
        *("--num-workers", "0"),
    ]


def test_overrides_replace_add_and_remove(config: Path) -> None:
    overrides = ["data=other", "no_save=false", "--max-epoch=3", "lr=", "list=", "adam_betas=(0.9, 0.98)"]
    arguments = fairseq_arguments({**read_config(config, overrides), "user_dir": "plugins"})
    assert arguments == [
        *["other", "--user-dir", "plugins", "--arch", "lstm_convai2", "--max-epoch", "3", "--adam-betas"],
        *("(0.9, 0.98)", "--update-epoch-batch-itr", "True", "--load-checkpoint-on-all-dp-ranks"),
        *("--num-workers", "0"),
    ]
    assert "--adam-betas '(0.9, 0.98)'" in shown_command(arguments)


def test_a_config_builds_on_another(config: Path) -> None:
    (config.parent / "rows").mkdir()
    row = config.parent / "rows" / "row.yaml"
    row.write_text("base: ../config.yaml\nlr: 0.1\nno_save:\nmax-epoch: 2\n")
    expected = {
        "data": "some/data",
        "arch": "lstm_convai2",
        "lr": 0.1,
        "no_save": None,
        "patience": 9,
        "list": [1, 2],
        "max_epoch": 2,
    }
    assert read_config(row, ["--patience=9"]) == expected


def test_user_dir_is_the_installed_plugin(config: Path) -> None:
    arguments = fairseq_arguments(read_config(config))
    folder = Path(arguments[arguments.index("--user-dir") + 1])
    assert (folder / "criterions" / "eureka.py").is_file()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- a\n- list\n", "expected a mapping"),
        ("a: [1\n", "not valid YAML"),
        ("optimizer:\n  name: adam\n", "optimizer: expected one value"),
    ],
)
def test_what_is_no_config_is_said(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=says):
        read_config(path)


def test_missing_config_and_bad_override(tmp_path: Path, config: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml: No such file"):
        read_config(tmp_path / "nowhere.yaml")
    with pytest.raises(UserError, match="'max_epoch': expected key=value"):
        read_config(config, ["max_epoch"])
    with pytest.raises(UserError, match="give data=DIR"):
        fairseq_arguments(read_config(config, ["data="]))


@pytest.fixture
def usable(tmp_path: Path) -> dict[str, object]:
    """A config that fairseq takes, with a data folder that looks like one."""
    pytest.importorskip("fairseq")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dict.reply.txt").write_text("word 1\n")
    return {
        "data": tmp_path / "data",
        "arch": "lstm_convai2",
        "criterion": "eureka",
        "save_dir": tmp_path / "run",
    }


def test_a_config_without_an_architecture_is_said(usable: dict[str, object]) -> None:
    del usable["arch"]
    with pytest.raises(UserError, match="no architecture is given, expected arch, for example arch=lstm"):
        check_arguments(fairseq_arguments(usable))


def test_good_arguments_pass(usable: dict[str, object]) -> None:
    args = check_arguments(fairseq_arguments({**usable, "beta": 0.9}))
    assert (args.beta, args.encoder_hidden_size, args.criterion) == (0.9, 1024, "eureka")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"encouragement_start": 3},
            "no option --encouragement-start; did you mean --encouragement-start-epoch",
        ),
        ({"max_epoch": "three"}, "--max-epoch: invalid int value: 'three'"),
        ({"arch": "lstm_convai3"}, "lstm_convai3"),
        ({"seed": -1}, "seed: -1, expected 0 to 4,294,967,295"),
        ({"data": "no/such/folder"}, "no/such/folder: does not exist; make it with `eureka prepare"),
    ],
)
def test_bad_arguments_are_said_in_a_line(
    usable: dict[str, object], change: dict[str, object], says: str
) -> None:
    with pytest.raises(UserError) as caught:
        check_arguments(fairseq_arguments({**usable, **change}))
    assert says in str(caught.value)
    assert "usage:" not in str(caught.value)


def test_checkpoint_that_is_none_is_said(usable: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint_last.pt").write_text("no checkpoint")
    with pytest.raises(
        UserError, match=r"checkpoint_last\.pt: is incomplete, and there is no complete checkpoint"
    ):
        mend_last_checkpoint(tmp_path / "run")
    with pytest.raises(UserError, match=r"restore_file .*checkpoint_last\.pt: not a checkpoint"):
        check_arguments(
            fairseq_arguments({**usable, "restore_file": tmp_path / "run" / "checkpoint_last.pt"})
        )


def test_a_checkpoint_that_was_cut_short_gives_way_to_the_newest_whole_one(tmp_path: Path) -> None:
    last = tmp_path / "checkpoint_last.pt"
    assert mend_last_checkpoint(tmp_path) is None
    for updates, name in (
        (9, "checkpoint1.pt"),
        (20, "checkpoint2.pt"),
        (20, "checkpoint_last.pt"),
        (9, "z.pt"),
    ):
        state = {"cfg": {}, "extra_state": {"train_iterator": {"epoch": 2}}, "model": {}}
        torch.save(
            {**state, "optimizer_history": [{"num_updates": updates}], "last_optimizer_state": name},
            tmp_path / name,
        )
    torch.save({"no": "training"}, tmp_path / "checkpoint9.pt")
    assert mend_last_checkpoint(tmp_path) is None
    last.write_bytes(last.read_bytes()[:500])
    assert mend_last_checkpoint(tmp_path) == tmp_path / "checkpoint2.pt"
    assert last.read_bytes() == (tmp_path / "checkpoint2.pt").read_bytes()


def test_what_makes_a_resumed_run_exact_is_the_default(config: Path) -> None:
    arguments = fairseq_arguments(read_config(config))
    assert arguments[arguments.index("--update-epoch-batch-itr") + 1] == "True"
    assert "--load-checkpoint-on-all-dp-ranks" in arguments
    chosen = fairseq_arguments(read_config(config, ["update_epoch_batch_itr=false"]))
    assert "--update-epoch-batch-itr" not in chosen


def test_one_of_several_processes_is_the_first(
    usable: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    alone = check_arguments(fairseq_arguments(usable))
    second = check_arguments(fairseq_arguments({**usable, "distributed_rank": 1}))
    assert is_first_process(alone)
    assert not is_first_process(second)
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert not is_first_process(alone)
    monkeypatch.setenv("RANK", "0")
    assert is_first_process(alone)


def test_several_processes_train_one_model(
    usable: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For fairseq a machine with one GPU is the only one: each would train a model of its own."""
    for name in ("SLURM_STEP_NUM_TASKS", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert "--distributed-world-size" not in fairseq_arguments(usable)
    torchrun = {"MASTER_ADDR": "localhost", "MASTER_PORT": "29500", "WORLD_SIZE": "2", "RANK": "0"}
    for name, value in torchrun.items():
        monkeypatch.setenv(name, value)
    arguments = fairseq_arguments(usable)
    assert arguments[arguments.index("--distributed-world-size") + 1] == "2"
    chosen = fairseq_arguments({**usable, "distributed_world_size": 4})
    assert chosen.count("--distributed-world-size") == 1
    assert chosen[chosen.index("--distributed-world-size") + 1] == "4"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert check_arguments(arguments).distributed_world_size == 2
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="fairseq needs a GPU for each of its processes; on CPUs start each"):
        check_arguments(arguments)
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(UserError, match=r"WORLD_SIZE is 'two', expected the number of processes"):
        fairseq_arguments(usable)
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "3")
    with pytest.raises(UserError, match=r"srun started 3 processes.*give distributed_world_size=3"):
        check_arguments(fairseq_arguments(usable))
    of_its_own = {"distributed_init_method": "tcp://localhost:29500", "distributed_rank": 0}
    assert check_arguments(fairseq_arguments({**usable, **of_its_own})).distributed_rank == 0


def test_a_machine_without_shared_memory_is_said(
    usable: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("multiprocessing.context.BaseContext.Lock", refuse)
    with pytest.raises(UserError, match=r"num_workers=1: .*/dev/shm .*No such file.*give num_workers=0"):
        check_arguments(fairseq_arguments({**usable, "num_workers": 1}))
    assert check_arguments(fairseq_arguments(usable)).num_workers == 0
    with pytest.raises(UserError, match=r"--workers 2: .*give --workers 1"):
        check_shared_memory("--workers 2", "--workers 1")


@pytest.mark.parametrize("has_instructions", [False, True])
@pytest.mark.parametrize(("bf16", "cpu", "gpu"), [(1, 0, 0), (1, 1, 1), (1, 0, 1), (0, 0, 0)])
def test_bfloat16_where_it_is_slow_is_said(
    bf16: int, cpu: int, gpu: int, has_instructions: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only if the CPU trains, in bfloat16, and cannot multiply in it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(gpu))
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: has_instructions, raising=False
    )
    said = slow_bfloat16(argparse.Namespace(bf16=bool(bf16), cpu=bool(cpu)))
    if not bf16 or has_instructions or (gpu and not cpu):
        assert said is None
    else:
        assert said is not None
        assert said.endswith("give bf16=false")


def test_an_option_is_never_run(usable: dict[str, object], tmp_path: Path) -> None:
    attack = f"open({str(tmp_path / 'hacked')!r}, 'w')"
    with pytest.raises(UserError, match="argument --lr: invalid"):
        check_arguments(fairseq_arguments({**usable, "lr": attack}))
    for name in ("adam_betas", "encoder_residual"):
        given = fairseq_arguments({**usable, "optimizer": "adam", name: attack})
        with pytest.raises(UserError, match=rf"--{name.replace('_', '-')}: option value .*open"):
            check_arguments(given)
    assert not (tmp_path / "hacked").exists()


def test_data_folder_without_dictionary_is_said(usable: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "data" / "dict.reply.txt").unlink()
    with pytest.raises(UserError, match=r"holds no dict"):
        check_arguments(fairseq_arguments(usable))


def test_save_folder_that_cannot_be_written_is_said(usable: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/run: cannot write there \(Not a directory\)"):
        check_arguments(fairseq_arguments({**usable, "save_dir": tmp_path / "file" / "run"}))


@pytest.mark.parametrize(
    ("status", "said"),
    [(-9, r"ended by SIGKILL \(the system sends it when memory runs out\); "), (-15, "ended by SIGTERM; ")],
)
def test_a_training_that_a_signal_ended(status: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "call", lambda *_: status)
    with pytest.raises(UserError, match=said):
        training.train(["data"])

"""The command line, in this process, with arguments and files mutated."""

from __future__ import annotations

import contextlib
import io
import json
import random
import sys
from pathlib import Path
from typing import Any

from targets.base import HOSTILE, One, Refused, Target, mutated_bytes
from targets.files_of_runs import _image_run

__all__ = ["TARGETS"]

_CORPUS = "hello there\thi you\nhow are you\ti am fine thanks\nwho is it\tit is me\n"
_REPLIES = "hi you\ni am fine\nit is me\n"
# with the places of files: IN is replaced by files of the seeds, OUT by a place in the working directory
_COMMANDS = (
    "prepare {corpus} --out {out} --history-turns 1",
    "prepare {corpus} --out {out} --tokenizer nltk --valid {corpus} --test {corpus} --min-count 2",
    "prepare {corpus} --out {out} --format-out messages",
    "prepare {corpus} --out {out} --tokenizer sentencepiece --vocab-size 40 --skip-bad",
    "prepare {corpus} --out {out} --vectors {vectors} --vector-dim 2",
    "evaluate {replies} {replies} --references {replies}",
    "evaluate {replies} --references {replies} --json {out} --metrics macro_f distinct",
    "evaluate {replies} {replies} --references {replies} --resamples 20 --confidence 0.9 --seed 1",
    "train {yaml} seed=1",
    "train {yaml} data={out} max-epoch=1",
    "generate {checkpoint} --split test --beam 2 --out {out}",
    "generate {run} --input {replies} --nbest 2",
    "analyse {run} {run} --out {out} --names a b",
    "analyse {checkpoint} --figures {out}",
    "report {run} --out {out} --title x",
    "report {run} {checkpoint} --out {out} --no-analysis --analysis {json}",
    "chat {run} --persona {replies}",
    "serve {checkpoint} --port 8765",
    "finetune {run} --data {out} --out {out}",
    "vision train {yaml} seed=1 training.epochs=1",
    "vision detect {yaml} data.source={out}",
    "vision evaluate {run} --checkpoint {checkpoint} --json {out} --logit-adjustment 1",
    "vision sweep {yaml} seeds=1,2 --jobs 1 --json {out}",
    "vision options detection",
    "configs --copy {out}",
    "configs",
    "plugin-dir",
    "demo --out {out}",
    "--version",
    "help prepare",
)
_WORDS = (
    *(
        "",
        " ",
        "-",
        "--",
        "-1",
        "0",
        "1",
        "2",
        "nan",
        "inf",
        "1e999",
        "9" * 400,
        "1000000",
        "2147483647",
        "2147483648",
        "9223372036854775808",
        "x",
        "é",
        "\udcff",
        "a\nb",
        "=",
        "x=",
        "=x",
    ),
    *(
        "--help",
        "--out",
        "--json",
        "--names",
        "--seed",
        "--split",
        "--data",
        "--figures",
        "--beam",
        "--overwrite",
        "../x",
    ),
    *(
        "{corpus}",
        "{replies}",
        "{yaml}",
        "{json}",
        "{checkpoint}",
        "{run}",
        "{npy}",
        "{binary}",
        "{out}",
        "{missing}",
    ),
    *(
        "/proc/nowhere/x",
        "/dev/null",
        ".",
        "..",
        "test",
        "train",
        "seeds=",
        "seed=x",
        "training.epochs=.inf",
        "loss.name=1",
    ),
    *(
        "--history-turns",
        "--min-count",
        "--metrics",
        "--confidence",
        "--resamples",
        "--vocab-size",
        "--logit-adjustment",
        "--workers",
        "--jobs",
        "--vector-dim",
        "--max-len-b",
        "--nbest",
        "--train-sample",
    ),
)


def _seeds(folder: Path) -> dict[str, Path]:
    import numpy as np
    import torch

    run = folder / "run"
    run.mkdir(parents=True)
    for name, content in _image_run().items():
        (run / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    files: dict[str, Any] = {
        "corpus": ("corpus.tsv", _CORPUS),
        "replies": ("replies.txt", _REPLIES),
        "vectors": ("vectors.txt", "hi 1 2 3\nyou 2 3 1\nthere 0 1 0\n"),
        "yaml": ("config.yaml", "arch: lstm_convai2\nlr: [3]\n"),
        "json": ("analysis.json", (run / "analysis.json").read_text()),
    }
    paths = {"run": run}
    for key, (name, text) in files.items():
        paths[key] = folder / name
        paths[key].write_text(text)
    paths["binary"] = folder / "binary"
    paths["binary"].write_bytes(bytes(range(256)))
    paths["npy"] = folder / "counts.npy"
    np.save(paths["npy"], np.arange(7))
    paths["checkpoint"] = folder / "checkpoint_best.pt"
    cfg = {"task": {"_name": "dialogue", "data": "d"}, "model": {"arch": "lstm_convai2"}, "criterion": {}}
    torch.save({"cfg": cfg, "model": {"w": torch.zeros(2)}, "extra_state": {}}, paths["checkpoint"])
    return paths


def _command_line(folder: Path) -> One:
    from eureka_nlg.cli.main import main

    paths = _seeds(folder)
    _without_processes()
    usual = {key: str(path) for key, path in paths.items()}
    for number, command in enumerate(_COMMANDS):  # what they import takes long
        with contextlib.suppress(Refused):
            _run(main, command.format(**usual, out=folder / f"out{number}").split())

    def one(pick: random.Random) -> object:
        out = Path.cwd() / pick.choice(("out", "out.json", "out.html", "deep/out", "out é"))
        places = {key: str(path) for key, path in paths.items()} | {"out": str(out), "missing": "missing"}
        for key in ("corpus", "replies", "yaml", "json"):
            if pick.random() < 0.15:
                place = Path.cwd() / paths[key].name
                place.write_bytes(mutated_bytes(pick, [paths[key].read_bytes()], _WORDS_OF_FILES))
                places[key] = str(place)
        words = pick.choice(_COMMANDS).split()
        for _ in range(pick.choice((0, 1, 1, 2, 3))):
            at = pick.randint(0, len(words))
            kind = pick.random()
            if kind < 0.4:
                words.insert(at, pick.choice(_WORDS))
            elif kind < 0.7 and at < len(words):
                words[at] = pick.choice(_WORDS)
            elif kind < 0.85 and at < len(words):
                del words[at]
            elif at < len(words):
                words.insert(at, words[at])
        arguments = []
        for word in words:
            for key, place in places.items():
                word = word.replace(f"{{{key}}}", place)
            arguments.append(word)
        Path("arguments.json").write_text(json.dumps(arguments))
        return _run(main, arguments)

    return one


def _run(main: Any, arguments: list[str]) -> str:
    """Run a command; a status other than 0 is a refusal, if it says one line."""
    # as a terminal's are: bytes below, strict above
    stdout = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="strict")
    stderr = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")
    saved = sys.stdin, sys.argv
    sys.stdin, sys.argv = io.StringIO("hello\n/help\n/save x\n"), ["eureka", *arguments]
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            try:
                status = main(arguments)
            except SystemExit as end:  # argparse
                status = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdin, sys.argv = saved
    stderr.flush()
    said = stderr.buffer.getvalue().decode("utf-8", "replace").strip()  # type: ignore[attr-defined]
    assert "Traceback" not in said, said
    if status:
        assert said, f"status {status} without a word"
        raise Refused(said[-4000:])
    return said


def _without_processes() -> None:
    """Trainings in processes of their own, servers and sweeps are stopped where they would start."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise Refused("a process would start here")

    from eureka_nlg.dialogue import demo, training
    from eureka_nlg.vision.classification import sweep

    training.train = refuse
    sweep.run_all = refuse
    demo.subprocess = type("none", (), {"Popen": refuse, "DEVNULL": None, "STDOUT": None})  # type: ignore[assignment]
    import uvicorn

    uvicorn.run = refuse
    uvicorn.Server.run = refuse


_WORDS_OF_FILES = (*"\n\t:,[]{}\"'\0", "é", "\ufeff", *map(str, HOSTILE[:20]), "9" * 50)
TARGETS = [Target("command line", "eureka COMMAND ...", 6, 400, _command_line)]

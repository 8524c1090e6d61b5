"""What is text: corpora, replies, vectors, logs, options."""

from __future__ import annotations

import bz2
import gzip
import importlib.util
import io
import lzma
import random
import zipfile
from pathlib import Path
from types import ModuleType

from eureka_nlg.dialogue.no_code import parse_value
from eureka_nlg.errors import UserError
from eureka_nlg.limits import parse_json
from eureka_nlg.metrics.text.generated import read_generated
from eureka_nlg.text_files import TextFile
from eureka_nlg.training_log import parse_log
from targets.base import JSON_WORDS, One, Target, file_target, mutated_bytes, mutated_json, text_target

__all__ = ["TARGETS"]

_CORPORA = Path(__file__).resolve().parents[3] / "tests/eureka_nlg/dialogue/formats/test_any_input.py"


def _any_input() -> ModuleType:
    """The mutations of corpora that the tests have."""
    specification = importlib.util.spec_from_file_location("any_input", _CORPORA)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _corpora(folder: Path) -> One:
    any_input = _any_input()
    folder.mkdir()
    names = ("x", "x", "x.json", "x.csv", "x.tsv", "x.jsonl", "x.parquet")

    def one(pick: random.Random) -> object:
        path = Path.cwd() / pick.choice(names)
        path.write_bytes(any_input.mutated(pick))
        return any_input.read_every_way(path, [pick.choice(any_input.READ)])

    return one


_VALUES = (
    "(0.9, 0.98)",
    "True",
    "[(512, 3)] * 20",
    "{'a': [1, 2]}",
    "-1e-8",
    "'text'",
    "None",
    "[0.25, 1.0]",
)
_VALUE_WORDS = (
    *"()[]{},:'\"*+-/. \n\0\\#@=<>!&|~^%;",
    *(
        "open('hacked','w')",
        "__import__('os')",
        "lambda:0",
        "().__class__",
        "**",
        "//",
        "if 1 else 2",
        "for x in []",
    ),
    *(
        "9" * 50,
        "1e999",
        "0x1f",
        "1j",
        "True",
        "none",
        "f'{1}'",
        "b'x'",
        "...",
        "x",
        "[0]*9999",
        "not ",
        "(" * 60,
    ),
)
_YAML = (
    "data: data-bin/sample\narch: lstm_convai2\nlr: [3]\nadam-betas: '(0.9, 0.98)'\nmax-epoch: 16\n",
    "base: other.yaml\nseed: 1\ntraining:\n  epochs: 60\n  milestones: [1, 2]\nloss:\n  name: eureka\n",
    "loss: {name: ldam, beta: 0.9999}\nmodel:\n  name: resnet32\ndeferral:\n  plain_epochs: 3\n",
    "task: detection\nloss:\n  name: halted_focal\ntraining:\n  updates: 100\n",
)
_YAML_WORDS = (
    *"\n\t :-?[]{}&*!|>'\"%@`#,\0\x85~=.",
    *(
        "a: ",
        "- ",
        "&a ",
        "*a",
        "!!python/object/apply:open ['hacked', 'w']",
        "!!int ",
        "!!float ",
        "!!bool ",
        "<<: ",
        "? ",
    ),
    *(
        "!!timestamp ",
        "!!binary ",
        "!!set ",
        "!!omap ",
        "!!null ",
        "2001-99-99",
        "1:99:99",
        "0b1",
        "0x_",
        "9" * 400,
    ),
    *(
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "\ufeff",
        "é",
        "\u2028",
        '"\\ud800"',
        ".inf",
        ".nan",
        "1e999",
        "base: ",
        "null",
    ),
    *(
        "training:\n",
        "  epochs: ",
        "loss:\n",
        "  name: ",
        "model:\n",
        "data:\n",
        "  source: ",
        "[" * 60,
        "{a: " * 40,
    ),
    *(
        "seed: ",
        "update_freq: ",
        "batch_size: ",
        "decay_epochs: ",
        "user_dir: ",
        "open('hacked','w')",
        "training.epochs: ",
    ),
)
_VECTORS = ("3 2\nthe 0.1 0.2\na 1 2\n", "the 0.1 -0.2 1e-3\na 1 2 3\n. . 1 2 3\n")
_LOG = (
    "2026-01-31 12:00:00 | INFO | train | epoch 001 | loss 5.0 | ppl 32 | wps 900\n"
    "2026-01-31 12:00:00 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 6.0 | ppl 64\n",
    '{"epoch": 2, "train_loss": "5.1", "train_ppl": "33"}\n'
    '2026-01-31 12:00:00 | INFO | valid | {"epoch": 2, "valid_loss": "5.1", "valid_best_loss": "3"}\n',
    '2026-01-31 12:00:00 | INFO | x | versions {"torch": "2"}\nfairseq-train data --lr 3\n',
)
_GENERATED = ("S-0\ta b\nT-0\tc\nH-0\t-0.5\tc d\nD-0\t-0.5\tc d\nS-1\tx\nT-1\ty\nH-1\t-1\tz\nD-1\t-1\tz\n",)
_WORDS = (
    *" \n\t\r\0|,:.-0129",
    *(
        "é",
        "\ufeff",
        "\u2028",
        "\r\n",
        "nan",
        "inf",
        "1e999",
        "-1",
        "9" * 400,
        "the ",
        "a ",
        "epoch ",
        "H-",
        "D-1\t",
        "S-",
    ),
    *(
        "3 1000000000\n",
        '{"epoch": ',
        "INFO",
        "subset",
        "| loss ",
        "versions {",
        "²",
        "٣",
        "1_0",
        "\x85",
        "0x1",
    ),
)


def _packed(pick: random.Random) -> bytes:
    text = mutated_bytes(pick, ["one line\nand another\n", "a\tb\n"], _WORDS)
    kind = pick.randrange(5)
    if kind == 4:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", pick.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
            for _ in range(pick.choice((0, 1, 1, 1, 2))):
                names = ("a.txt", "../../hacked", "/hacked", "a/b", "__MACOSX/x", ".hidden", "folder/")
                archive.writestr(pick.choice(names), text)
        content = buffer.getvalue()
    else:
        content = (gzip.compress, bz2.compress, lzma.compress, lambda data: b"\x28\xb5\x2f\xfd" + data)[kind](
            text
        )
    return (
        content
        if pick.random() < 0.3
        else mutated_bytes(pick, [content], ["\0", "PK\x03\x04", "\x1f", "ustar"])
    )


def _json(text: str) -> object:
    try:
        return parse_json(text)
    except ValueError as error:  # what each reader makes a line of, with its file
        raise UserError(str(error)) from error


def _words_of_a_vector_file(path: Path) -> None:
    from eureka_nlg.dialogue.vectors import write_vectors

    write_vectors(str(path), {"the": 2, "a": 1, ".": 1}, path.with_name("vectors"))


def _config(folder: Path) -> One:
    from eureka_nlg.dialogue.training import fairseq_arguments, read_config
    from eureka_nlg.vision.classification.config import Config
    from eureka_nlg.vision.config_file import read_config as read_vision_config
    from eureka_nlg.vision.detection.config import DetectionConfig

    folder.mkdir()

    def one(pick: random.Random) -> object:
        path, other = Path.cwd() / "a.yaml", Path.cwd() / "other.yaml"
        path.write_bytes(mutated_bytes(pick, _YAML, _YAML_WORDS))
        other.write_bytes(mutated_bytes(pick, _YAML, _YAML_WORDS) if pick.random() < 0.2 else b"seed: 2\n")
        overrides = []
        if pick.random() < 0.3:
            key = pick.choice(
                ("seed", "training.epochs", "loss.name", "data", "", "x", "lr", "loss", "update-freq")
            )
            value = mutated_bytes(pick, ["1", "[1, 2]", "eureka"], _YAML_WORDS).decode(
                "utf-8", "surrogateescape"
            )
            overrides.append(f"{key}={value}")
        kind = pick.randrange(3)
        if kind == 0:
            return fairseq_arguments(read_config(path, overrides))
        return read_vision_config(Config if kind == 1 else DetectionConfig, path, overrides)

    return one


TARGETS = [
    Target("corpora", "dialogue corpora in every format", 20, 120, _corpora),
    Target(
        "configs", "YAML of options with overrides, for fairseq, classifiers and detectors", 30, 160, _config
    ),
    text_target(
        "values",
        "options of fairseq that it would evaluate",
        500,
        160,
        lambda pick: mutated_bytes(pick, _VALUES, _VALUE_WORDS),
        parse_value,
    ),
    text_target(
        "json",
        "JSON within bounds",
        500,
        160,
        lambda pick: (
            mutated_bytes(pick, ['{"a": [1, 2.5, null, "b"], "c": {"d": true}}', "[[[]], {}]"], JSON_WORDS)
            if pick.random() < 0.7
            else mutated_json(pick, {"a": [1, 2.5, None], "b": {"c": "d"}})
        ),
        _json,
    ),
    file_target(
        "vectors",
        "word vectors as text",
        30,
        60,
        lambda pick: mutated_bytes(pick, _VECTORS, _WORDS),
        _words_of_a_vector_file,
    ),
    file_target(
        "lines",
        "text, a line a reply",
        40,
        60,
        lambda pick: mutated_bytes(pick, ["one line\nand another\n", "\ufeffa\r\nb"], _WORDS),
        lambda path: list(TextFile(path)),
    ),
    file_target(
        "compressed",
        "gzip, bzip2, xz, Zstandard, zip and tar archives",
        20,
        40,
        _packed,
        lambda path: list(TextFile(path)),
        ("input", "input.gz", "input.zip"),
    ),
    file_target(
        "generated",
        "output of fairseq-generate",
        40,
        60,
        lambda pick: mutated_bytes(pick, _GENERATED, _WORDS),
        read_generated,
    ),
    text_target(
        "fairseq log",
        "fairseq's logs",
        500,
        160,
        lambda pick: mutated_bytes(pick, _LOG, (*_WORDS, *JSON_WORDS)),
        lambda text: parse_log(text.split("\n")),
    ),
]

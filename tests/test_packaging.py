"""What is installed: the lock holds what setup.cfg asks for, and nothing that breaks the rest."""

from __future__ import annotations

import configparser
import importlib
import re
from pathlib import Path

import pytest

import eureka_nlg

ROOT = Path(__file__).resolve().parents[1]
METADATA = configparser.ConfigParser()
METADATA.read(ROOT / "setup.cfg", encoding="utf-8")
LOCKED = set(
    re.findall(r"^([a-z0-9][a-z0-9._-]*)==", (ROOT / "requirements/lock.txt").read_text(), re.MULTILINE)
)


def required(extra: str) -> set[str]:
    """Packages of an extra, without versions, markers and this package itself."""
    lines = [line.strip() for line in METADATA["options.extras_require"][extra].splitlines()]
    names = {re.match(r"[\w.-]+", line)[0].lower() for line in lines if line and not line.startswith("#")}
    return names - {"eureka-nlg"}


@pytest.mark.parametrize("extra", METADATA["options.extras_require"])
def test_what_an_extra_asks_for_is_locked(extra: str) -> None:
    missing = required(extra) - LOCKED
    assert not missing, "run `make lock`"


def test_all_is_all() -> None:
    extras = set(METADATA["options.extras_require"])
    (line,) = METADATA["options.extras_require"]["all"].split()
    assert set(line.removeprefix("eureka-nlg[").removesuffix("]").split(",")) == extras - {"all", "dev"}


def test_nothing_breaks_the_import_of_transformers_models() -> None:
    # fairseq asks for torchaudio; one that was built for another torch makes that import fail
    assert "torchaudio" not in LOCKED
    pytest.importorskip("transformers")
    assert importlib.import_module("transformers").GPT2LMHeadModel


def test_one_version() -> None:
    version = eureka_nlg.__version__
    citation = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    heading = re.search(
        r"^## (\S+) \((.*)\)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert citation is not None
    assert heading is not None
    assert citation[1] == heading[1] == version.removesuffix(".dev0")
    dated = re.fullmatch(r"\d{4}-\d\d-\d\d", heading[2]) is not None
    assert dated or heading[2] == "unreleased"
    assert dated != version.endswith(".dev0")


def test_github_is_given_yaml_and_runs_what_ci_runs() -> None:
    yaml = pytest.importorskip("yaml")
    files = {path.name: yaml.safe_load(path.read_text()) for path in (ROOT / ".github").rglob("*.yml")}
    assert set(files) >= {"ci.yml", "wheels.yml", "bug.yml", "wish.yml"}
    assert {"run": "bash .ci/run"} in files["ci.yml"]["jobs"]["check"]["steps"]

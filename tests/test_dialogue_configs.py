"""Every config of dialogue models, at any depth: fairseq takes it, and its header holds its command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from eureka_nlg.dialogue.training import check_arguments, fairseq_arguments, read_config

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "configs" / "dialogue"
CONFIGS = sorted(path for path in FOLDER.rglob("*.yaml") if path.name != "base.yaml")


def header(config: Path) -> list[str]:
    lines = config.read_text(encoding="utf-8").splitlines()
    return [line[1:].strip() for line in lines if line.startswith("#")]


def test_configs_were_found() -> None:
    assert {path.parent.name for path in CONFIGS} == {"sample", "convai2", "convai2_small", "dailydialog"}
    assert len(CONFIGS) >= 41


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_header_says_why_how_long_and_the_command(config: Path) -> None:
    lines = header(config)
    command = f"eureka train {config.relative_to(ROOT)}"
    assert command in lines
    assert {line for line in lines if line.startswith("eureka ")} <= {
        command,
        f"{command} --branch-from runs/{config.parent.name}/ce",
    }
    assert lines[0].endswith((".", "?", ",")) or len(lines[0]) > 80
    assert "minutes" in " ".join(lines) or "hours" in " ".join(lines)
    for line in config.read_text(encoding="utf-8").splitlines():
        assert len(line) <= 122


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_fairseq_takes_the_config(config: Path, tmp_path: Path) -> None:
    pytest.importorskip("fairseq")
    given = read_config(config)
    family = config.parent.name
    assert given["data"] == f"data-bin/{family}"
    assert given["save_dir"] == f"runs/{family}/{config.stem}"
    (tmp_path / "dict.reply.txt").write_text("word 1\n")
    (tmp_path / "manifest.json").write_text(json.dumps({"splits": {"train": {"exchanges": 33632}}}))
    taken = check_arguments(fairseq_arguments(given | {"data": str(tmp_path), "save_dir": str(tmp_path)}))
    if taken.lr_scheduler == "polynomial_decay":
        assert int(taken.total_num_update) == (7 if family == "dailydialog" else 9) * 1051


def test_a_family_shares_its_data_model_and_optimiser() -> None:
    for base in FOLDER.rglob("base.yaml"):
        assert any(line.startswith("eureka prepare ") for line in header(base))
        shared = yaml.safe_load(base.read_text(encoding="utf-8"))
        assert not shared.keys() & {"criterion", "save_dir"}
        for config in base.parent.glob("*.yaml"):
            own = yaml.safe_load(config.read_text(encoding="utf-8"))
            repeated = {key for key, value in own.items() if config != base and shared.get(key) == value}
            assert not repeated, f"{config}: stands in base.yaml already"

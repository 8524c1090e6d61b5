"""What may import what, and that optional packages are optional."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import eureka_nlg

PACKAGE = Path(eureka_nlg.__file__).parent
PLUGIN = PACKAGE.parent / "fairseq_plugins"

# What the core does without. Complete, or test_every_package_is_known fails.
OPTIONAL = [
    "PIL",
    "accelerate",
    "anyio",
    "argcomplete",
    "axolotl",
    "datasets",
    "fairseq",
    "fairseq_cli",
    "gguf",
    "jinja2",
    "lightning",
    "matplotlib",
    "nltk",
    "omegaconf",
    "peft",
    "pooch",
    "pyarrow",
    "pycocotools",
    "pydantic",
    "rouge_score",
    "sacrebleu",
    "safetensors",
    "scipy",
    "sentencepiece",
    "starlette",
    "tabulate",
    "tensorboardX",
    "torchtext",
    "torchvision",
    "tqdm",
    "transformers",
    "triton",
    "trl",
    "uvicorn",
    "yaml",
]
CORE = {"torch", "numpy", "typing_extensions"}  # the last comes with torch

# The ground floor: what imports nothing of the package but one another; all may import it.
GROUND = {"errors", "files", "text_files", "compressed", "units", "bundled", "option_files", "options"}
GROUND |= {None, "__version__", "c_library", "children", "labelled_counts", "limits", "shapes_of_json"}
GROUND |= {"durations", "progress", "datasets_cache"}
# Above it: cli -> report -> runs -> (dialogue | vision | finetune) -> analysis -> metrics, losses
# -> frequency.
MAY_IMPORT = {
    "__main__": {"cli"},
    "frequency": set(),
    "losses": {"frequency"},
    "metrics": set(),
    "analysis": {"metrics", "frequency"},
    "dialogue": {"analysis", "metrics", "losses", "frequency"},
    "vision": {"analysis", "metrics", "losses", "frequency"},
    "integrations": {"metrics", "losses", "frequency"},
    "finetune": {"integrations", "losses", "frequency"},
    "training_log": set(),
    "runs": {"dialogue", "finetune", "metrics", "training_log"},
    "report": {"runs", "dialogue", "vision", "analysis", "metrics", "training_log", "page"},
    "page": set(),
    "chat": {"runs", "dialogue", "page"},
    "cli": {"chat", "runs", "dialogue", "vision", "finetune", "report", "analysis", "metrics"},
}


def imported_modules(path: Path) -> Iterator[str]:
    """Full names in the import statements of a file, inside of functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            # require("package", extra=...) and importlib.import_module("package")
            name = getattr(node.func, "id", getattr(node.func, "attr", None))
            if name in ("require", "import_module"):
                yield str(node.args[0].value)


def layer_of(module: str) -> str | None:
    """``dialogue`` for ``eureka_nlg.dialogue.prepare``; None outside of the package and for its root."""
    parts = module.split(".")
    return parts[1] if parts[0] == "eureka_nlg" and len(parts) > 1 else None


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    modules = set(imported_modules(path))
    assert not any(module.split(".")[0] == "fairseq_plugins" for module in modules)
    if parts == ("__init__",):
        assert not any(module.split(".")[0] == "eureka_nlg" for module in modules)
        return
    own = parts[0]
    allowed = GROUND if own in GROUND else MAY_IMPORT[own] | {own} | GROUND
    for module in modules:
        assert layer_of(module) in allowed, f"{own} imports {module}"


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_what_may_be_imported_is(layer: str) -> None:
    files = [path for path in FILES if path.relative_to(PACKAGE).with_suffix("").parts[0] == layer]
    used = {layer_of(module) for path in files for module in imported_modules(path)}
    assert MAY_IMPORT[layer] <= used, "take out what is not used"


def test_every_package_is_known() -> None:
    for path in [*FILES, *PLUGIN.rglob("*.py")]:
        packages = {module.partition(".")[0] for module in imported_modules(path)}
        others = packages - sys.stdlib_module_names - CORE - {"eureka_nlg", "fairseq_plugins"}
        assert others <= set(OPTIONAL), f"{path}: add what is new to OPTIONAL, and to an extra in setup.cfg"


def test_the_losses_are_plain_torch() -> None:
    for path in [*(PACKAGE / "frequency").rglob("*.py"), *(PACKAGE / "losses").rglob("*.py")]:
        for module in imported_modules(path):
            assert module.split(".")[0] not in set(OPTIONAL) - {"triton"}, f"{path.name} imports {module}"


def test_the_rule_sees_a_wrong_import(tmp_path: Path) -> None:
    source = tmp_path / "wrong.py"
    source.write_text(
        "def f():\n    from eureka_nlg import dialogue\n    require('fairseq.data', extra='fairseq')\n"
    )
    modules = set(imported_modules(source))
    assert "dialogue" in {layer_of(module) for module in modules}
    assert "fairseq.data" in modules


def test_the_plugin_stands_on_the_library() -> None:
    used = {module for path in PLUGIN.rglob("*.py") for module in imported_modules(path)}
    assert {layer_of(module) for module in used} <= {"dialogue", "losses", "metrics", "frequency"} | GROUND
    assert any(layer_of(module) == "losses" for module in used)


def test_the_core_works_without_the_optional_packages(python) -> None:
    program = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {OPTIONAL!r}:
            raise ModuleNotFoundError(f"blocked: {{name}}", name=name)

sys.meta_path.insert(0, Blocked())
import torch
import eureka_nlg, eureka_nlg.errors, eureka_nlg.frequency
from eureka_nlg.losses import EurekaLoss
loss = EurekaLoss.from_counts([5, 1, 9])(torch.zeros(2, 3, requires_grad=True), torch.tensor([0, 1]))
loss.backward()
import eureka_nlg.cli.main
assert not {{name.partition(".")[0] for name in sys.modules}} & set({OPTIONAL!r})
print("worked")
"""
    result = python("-c", program, fresh=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "worked\n"

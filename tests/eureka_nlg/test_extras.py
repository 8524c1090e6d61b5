"""An error that names an extra names one that brings the package."""

from __future__ import annotations

import ast
import configparser
import importlib.metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import eureka_nlg

PACKAGE = Path(eureka_nlg.__file__).parent
SETUP = PACKAGE.parent / "setup.cfg"


def required() -> set[tuple[str, str, str]]:
    """(module, extra, place) of every ``require("module", extra="extra")``."""
    found = set()
    for path in [*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "fairseq_plugins").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "require":
                values = [*node.args, *(keyword.value for keyword in node.keywords)]
                if all(isinstance(value, ast.Constant) for value in values):
                    module, extra = (value.value for value in values if isinstance(value, ast.Constant))
                    found.add((module, extra, f"{path.relative_to(PACKAGE.parent)}:{node.lineno}"))
    return found


def distributions(extra: str) -> set[str]:
    """What an extra installs here, with what that needs."""
    parser = configparser.ConfigParser()
    parser.read(SETUP, encoding="utf-8")
    groups = {
        name: [Requirement(line) for line in lines.splitlines() if line.strip() and line[0] != "#"]
        for name, lines in parser["options.extras_require"].items()
    }
    found: set[str] = set()
    waiting = list(groups[extra])
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if name == "eureka-nlg":
            waiting += [other for group in requirement.extras for other in groups[group]]
        elif name not in found:
            found.add(name)
            try:
                waiting += map(Requirement, importlib.metadata.requires(name) or ())
            except importlib.metadata.PackageNotFoundError:  # not in this environment
                continue
    return found


@pytest.mark.skipif(not SETUP.is_file(), reason="a wheel has no setup.cfg")
def test_every_missing_package_comes_with_the_extra_that_is_named() -> None:
    by_module = importlib.metadata.packages_distributions()
    brought = {extra: distributions(extra) for _, extra, _ in required()}
    wrong = [
        f"{place}: {module} does not come with {extra}"
        for module, extra, place in sorted(required())
        if (names := by_module.get(module.partition(".")[0]))
        and not {canonicalize_name(name) for name in names} & brought[extra]
    ]
    assert not wrong
    assert len(brought) > 6
    assert "torchvision" in brought["vision"] - brought["data"]  # or nothing could fail

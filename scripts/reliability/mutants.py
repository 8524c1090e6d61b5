#!/usr/bin/env python
"""Change one sign, number or comparison of a formula at a time: the tests have to notice each.

    python scripts/reliability/mutants.py                            all mutants of all files
    python scripts/reliability/mutants.py --sample 60 --seed 1       60 of them, drawn from all
    python scripts/reliability/mutants.py eureka_nlg/frequency/counts.py --json mutants.json

The files are the losses, the class frequencies and the metrics' formulas, each with the tests that hold them
to account. A mutant is run in a process that is forked from one with torch and pytest imported. What is known
to change no number is in ``equivalent_mutants.json``, each with the reason, and is not run. Messages, names
and types are not changed. Ends with status 1 if a mutant survives.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.json")
_LOSSES = "tests/eureka_nlg/losses"
_REPLIES = "tests/eureka_nlg/metrics/replies"
# file of the package -> the tests that hold it to account, the quickest to notice first
TESTS: dict[str, tuple[str, ...]] = {
    **{
        f"frequency/{name}.py": ("tests/eureka_nlg/test_frequency.py",)
        for name in ("counts", "class_weights", "margins", "reward_weights")
    },
    "losses/bonus.py": (f"{_LOSSES}/test_functional.py", f"{_LOSSES}/test_precision.py"),
    **{
        f"losses/{file}.py": tuple(
            f"{_LOSSES}/test_{name}.py" for name in ("functional", "precision", "all_losses")
        )
        for file in ("objective", "objectives")
    },
    "losses/rivals.py": (f"{_LOSSES}/test_functional.py", f"{_LOSSES}/test_all_losses.py"),
    **{
        f"losses/{file}.py": tuple(f"{_LOSSES}/test_{name}.py" for name in ("functional", "all_losses"))
        for file in ("rows", "logits")
    },
    "losses/sigmoid.py": (f"{_LOSSES}/test_sigmoid.py",),
    "losses/gem.py": (f"{_LOSSES}/test_more_than_the_target.py",),
    "losses/unlikelihood.py": (f"{_LOSSES}/test_more_than_the_target.py",),
    "losses/schedule.py": (f"{_LOSSES}/test_schedule.py",),
    "losses/kernels/closed_form.py": (f"{_LOSSES}/test_native.py", f"{_LOSSES}/test_functional.py"),
    "losses/kernels/portable.py": (f"{_LOSSES}/test_precision.py", f"{_LOSSES}/test_functional.py"),
    "losses/kernels/reference.py": (f"{_LOSSES}/test_functional.py", f"{_LOSSES}/test_precision.py"),
    "metrics/classes/group_accuracy.py": ("tests/eureka_nlg/metrics/classes/test_group_accuracy.py",),
    "metrics/classes/likelihood.py": ("tests/eureka_nlg/metrics/classes/test_likelihood.py",),
    **{
        f"metrics/replies/{name}.py": (f"{_REPLIES}/test_{name}.py",)
        for name in ("bleu", "chrf", "copies", "f_score", "length", "meteor", "ngrams", "parlai_f1")
    },
    "metrics/replies/reply_diversity.py": (f"{_REPLIES}/test_reply_diversity.py",),
    "metrics/replies/rouge_l.py": (f"{_REPLIES}/test_rouge_l.py",),
}
_SECONDS = 600.0

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_FUNCTIONS = {
    "log1p": "log",
    "expm1": "exp",
    "min": "max",
    "max": "min",
    "amax": "amin",
    "minimum": "maximum",
    "maximum": "minimum",
    "clamp_min": "clamp_max",
    "sum": "mean",
    "mean": "sum",
    "all": "any",
    "any": "all",
}


@dataclass(frozen=True)
class Mutant:
    """One change.

    Attributes:
        path: of the file, below ``eureka_nlg``.
        place: qualified name of the function or class.
        change: the expression before and after.
        number: of the same changes in the same place, which this one is.
        line: in the file.
        tree: the file with the change.
    """

    path: str
    place: str
    change: str
    number: int
    line: int
    tree: ast.Module

    @property
    def name(self) -> str:
        """Its identity, which stays when lines move."""
        return f"{self.place}: {self.change}" + (f" ({self.number + 1})" if self.number else "")


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """The replacements of a node."""
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            other = copy.deepcopy(node)
            other.ops[index] = _COMPARISONS[type(operator)]()
            yield other
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        other = copy.deepcopy(node)
        other.op = _OPERATORS[type(node.op)]()
        yield other
    elif isinstance(node, ast.BoolOp):
        other = copy.deepcopy(node)
        other.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield other
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not, ast.Invert)):
        yield copy.deepcopy(node.operand)
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
        value = not node.value if isinstance(node.value, bool) else node.value + 1
        yield ast.copy_location(ast.Constant(value), node)
    elif isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", None))
        if name in _FUNCTIONS:
            other = copy.deepcopy(node)
            if isinstance(other.func, ast.Attribute):
                other.func.attr = _FUNCTIONS[name]
            elif name in ("min", "max", "all", "any"):
                other.func.id = _FUNCTIONS[name]  # type: ignore[attr-defined]
            else:
                return
            yield other
    elif isinstance(node, ast.IfExp):
        other = copy.deepcopy(node)
        other.body, other.orelse = other.orelse, other.body
        yield other


def _expressions(tree: ast.Module) -> Iterator[tuple[str, ast.AST, str, int | None, ast.AST]]:
    """Places where something may change, errors and types aside: function, parent, field, index, node."""

    def walk(node: ast.AST, place: str) -> Iterator[tuple[str, ast.AST, str, int | None, ast.AST]]:
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list", "type_params"):
                continue
            several = isinstance(value, list)
            for index, child in enumerate(value if several else [value]):
                if not isinstance(child, ast.AST) or isinstance(
                    child, (ast.Raise, ast.JoinedStr, ast.Assert)
                ):
                    continue
                if isinstance(child, ast.Assign) and any(
                    getattr(target, "id", "").startswith("__") for target in child.targets
                ):
                    continue
                inner = place
                if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                    inner = f"{place}.{child.name}" if place else child.name
                if isinstance(child, ast.expr):
                    yield inner or "module", node, field, index if several else None, child
                yield from walk(child, inner)

    yield from walk(tree, "")


def mutants_of(path: str) -> list[Mutant]:
    """All mutants of a file."""
    source = (ROOT / "eureka_nlg" / path).read_text(encoding="utf-8")
    tree = ast.parse(source)
    found: list[Mutant] = []
    seen: Counter[str] = Counter()
    for place, parent, field, index, node in list(_expressions(tree)):
        for changed in _changes(node):
            change = f"{ast.unparse(node)} -> {ast.unparse(changed)}"
            target = getattr(parent, field)
            if index is None:
                setattr(parent, field, changed)
            else:
                target[index] = changed
            mutated = copy.deepcopy(tree)
            if index is None:
                setattr(parent, field, node)
            else:
                target[index] = node
            key = f"{place}: {change}"
            found.append(Mutant(path, place, change, seen[key], node.lineno, mutated))  # type: ignore[attr-defined]
            seen[key] += 1
    return found


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the mutant in the place of its module."""

    def __init__(self, mutant: Mutant) -> None:
        self._tree = ast.fix_missing_locations(mutant.tree)
        self._file = str(ROOT / "eureka_nlg" / mutant.path)
        self._name = "eureka_nlg." + mutant.path.removesuffix(".py").replace("/", ".")

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != self._name:
            return None
        return importlib.util.spec_from_file_location(name, self._file, loader=self)

    def create_module(self, spec: Any) -> Any:
        return None

    def exec_module(self, module: Any) -> None:
        exec(compile(self._tree, self._file, "exec"), module.__dict__)


def survives(tests: Sequence[str], mutant: Mutant | None, seconds: float = _SECONDS) -> bool:
    """Whether the tests pass with a mutant, or without any, in a process of their own."""
    process = os.fork()
    if process == 0:
        status = 1
        with contextlib.suppress(BaseException):
            null = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(null, number)
            os.setsid()
            os.chdir(ROOT)
            if mutant is not None:
                sys.meta_path.insert(0, _Finder(mutant))
            import pytest

            status = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", *tests]))
        os._exit(status)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.05)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return False  # a mutant that never ends is noticed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run mutants, print those that survive."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="below eureka_nlg; all by default")
    parser.add_argument("--sample", type=int, metavar="N", help="run N of the mutants")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="print the mutants, and run none")
    parser.add_argument("--json", type=Path, help="also write the result there")
    args = parser.parse_args(arguments)
    files = [name.removeprefix("eureka_nlg/") for name in args.files] or list(TESTS)
    if unknown := sorted(set(files) - TESTS.keys()):
        parser.error(f"no tests are known for {', '.join(unknown)}; expected some of {', '.join(TESTS)}")
    equivalent = json.loads(EQUIVALENT.read_text(encoding="utf-8"))
    mutants = [mutant for path in files for mutant in mutants_of(path)]
    known = [mutant for mutant in mutants if mutant.name in equivalent.get(mutant.path, {})]
    mutants = [mutant for mutant in mutants if mutant.name not in equivalent.get(mutant.path, {})]
    gone = {
        name for path in files for name in equivalent.get(path, {}) if name not in {one.name for one in known}
    }
    if gone:
        parser.error(f"{EQUIVALENT.name} names what is no mutant any more: {'; '.join(sorted(gone))}")
    print(
        f"{len(mutants)} mutants of {len(files)} files, {len(known)} more that change no number", flush=True
    )
    if args.sample is not None:
        mutants = random.Random(args.seed).sample(mutants, min(args.sample, len(mutants)))
    if args.list:
        print("\n".join(f"{mutant.path}:{mutant.line} {mutant.name}" for mutant in mutants))
        return 0
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.path[1:1] = [str(ROOT), str(ROOT / "tests" / "helpers")]
    import hypothesis  # noqa: F401
    import pytest  # noqa: F401
    import torch

    torch.set_num_threads(1)
    for path in dict.fromkeys(mutant.path for mutant in mutants):
        if not survives(TESTS[path], None):
            raise SystemExit(f"{path}: {' '.join(TESTS[path])} do not pass without a mutant")
    survivors = []
    for number, mutant in enumerate(mutants, 1):
        if survives(TESTS[mutant.path], mutant):
            survivors.append(mutant)
            print(f"survives: {mutant.path}:{mutant.line} {mutant.name}", flush=True)
        if args.json is not None:
            result = {
                "run": number,
                "of": len(mutants),
                "survivors": [f"{one.path}:{one.line} {one.name}" for one in survivors],
            }
            args.json.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{len(mutants)} run, {len(survivors)} survive")
    return int(bool(survivors))


if __name__ == "__main__":
    sys.exit(main())

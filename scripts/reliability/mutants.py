#!/usr/bin/env python
"""Change one sign, number or comparison of a formula at a time: the tests have to notice each.

    python scripts/reliability/mutants.py --json results.json              all; begun again, it goes on
    python scripts/reliability/mutants.py --json results.json --survivors  those that survived, once more
    python scripts/reliability/mutants.py --sample 60 --seed 1             60 of them, drawn from all
    python scripts/reliability/mutants.py eureka_nlg/frequency/counts.py   those of a file

The files are those of ``eureka_nlg.losses``, ``frequency`` and ``metrics``. Left out are the kernels in C and
for GPUs, which are no Python that runs here, and ``__init__.py``, which computes nothing. Messages, names and
types are not changed.

The tests are run once without a mutant, to see which of them execute which lines, and how long each takes.
Then a mutant is run on the tests that execute its line, quick ones first, until one fails: its function is
changed in a process that is forked when all tests have been imported. Lines that run at import are changed
before that import, and run on all files of tests that execute anything of their file. A mutant whose tests
take five times as long as without it, and 20 seconds (at import: 60), is noticed too.

What is known to change no number is in ``equivalent_mutants.json``, each with the reason, and is not run.
Ends with status 1 if a mutant survives.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import functools
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import json
import math
import os
import pickle
import random
import signal
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.json")
# folder of the package -> the tests that hold it to account; its own doctests come in addition
TESTS = {
    "frequency": ("tests/eureka_nlg/test_frequency.py", "tests/eureka_nlg/losses/test_options.py"),
    "losses": ("tests/eureka_nlg/losses", "--ignore=tests/eureka_nlg/losses/test_triton_kernels.py"),
    "metrics": ("tests/eureka_nlg/metrics", "tests/eureka_nlg/cli/test_evaluate.py"),
}
# has a table of the defaults and bounds of all options, and executes no line for most of them
_OPTIONS = "tests/eureka_nlg/losses/test_options.py"
LEFT_OUT = ("__init__.py", "triton_kernels.py")
FILES = [
    str(path.relative_to(ROOT / "eureka_nlg"))
    for folder in TESTS
    for path in sorted((ROOT / "eureka_nlg" / folder).glob("**/*.py"))
    if path.name not in LEFT_OUT
]

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
_BY_DIMENSION = (
    *("amax", "argmax", "all", "any", "cat", "gather", "index_select", "log_softmax", "logsumexp", "scatter"),
    *("scatter_add", "softmax", "squeeze", "sum", "unsqueeze"),
)
_TYPES = ("Tensor", "float", "int", "str", "Sequence[int]")
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
        lines: in the file.
        tree: the file without the change.
        parent, field, index: where in the tree the change is.
        changed: what stands there then.
    """

    path: str
    place: str
    change: str
    number: int
    lines: range
    tree: ast.Module
    parent: ast.AST
    field: str
    index: int | None
    changed: ast.AST

    @property
    def name(self) -> str:
        """Its identity, which stays when lines move."""
        return f"{self.place}: {self.change}" + (f" ({self.number + 1})" if self.number else "")

    def __str__(self) -> str:
        return f"{self.path}:{self.lines.start} {self.name}"

    @property
    def file(self) -> str:
        """Path of the file."""
        return str(ROOT / "eureka_nlg" / self.path)

    def code(self) -> CodeType:
        """The module with the change."""
        holder: Any = vars(self.parent)
        key: Any = self.field
        if self.index is not None:
            holder, key = holder[key], self.index
        before, holder[key] = holder[key], self.changed
        try:
            return compile(ast.fix_missing_locations(self.tree), self.file, "exec")
        finally:
            holder[key] = before


def _is_type(node: ast.expr) -> bool:
    """Whether an expression is a union of types."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _is_type(node.left) or _is_type(node.right)
    return (isinstance(node, ast.Constant) and node.value is None) or ast.unparse(node) in _TYPES


def _is_dimension(parent: ast.AST, node: ast.AST) -> bool:
    """Whether a -1 stands for the last dimension: in tensors of rows, which have two, 1 is the same."""
    name = parent.func.attr if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Attribute) else ""
    return name.rstrip("_") in _BY_DIMENSION and ast.unparse(node) == "-1"


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """The replacements of a node."""
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            other = copy.deepcopy(node)
            other.ops[index] = _COMPARISONS[type(operator)]()
            yield other
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS and not _is_type(node):
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
            if field == "keywords" and isinstance(node, ast.ClassDef):
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
            if _is_dimension(parent, node):
                continue
            change = f"{ast.unparse(node)} -> {ast.unparse(changed)}"
            key = f"{place}: {change}"
            lines = range(node.lineno, node.end_lineno + 1)  # type: ignore[attr-defined]
            number = seen[key]
            found.append(Mutant(path, place, change, number, lines, tree, parent, field, index, changed))
            seen[key] += 1
    return found


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the mutant in the place of its module."""

    def __init__(self, mutant: Mutant) -> None:
        self._code = mutant.code()
        self.name = "eureka_nlg." + mutant.path.removesuffix(".py").replace("/", ".")

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self._code.co_filename, loader=self)

    def create_module(self, spec: Any) -> Any:
        return None

    def exec_module(self, module: Any) -> None:
        exec(self._code, module.__dict__)


def _functions(code: CodeType) -> dict[tuple[str, int], CodeType]:
    """The code of all functions of a module, by name and first line."""
    found = {}
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found |= {(inner.co_qualname, inner.co_firstlineno): inner} | _functions(inner)
    return found


def _living(folder: str) -> list[FunctionType]:
    """The functions of a folder of the package in this process.

    They are looked for before processes are forked: to look at all objects copies their pages.
    """
    gc.unfreeze()  # what is frozen would not be listed
    place = f"{ROOT}/eureka_nlg/{folder}/"
    functions = [one for one in gc.get_objects() if type(one) is FunctionType]
    gc.freeze()
    return [one for one in functions if one.__code__.co_filename.startswith(place)]


def _change_in_place(mutant: Mutant, functions: Sequence[FunctionType]) -> None:
    """Give the functions of the mutant's file the code of the mutant."""
    changed = _functions(mutant.code())
    for function in functions:
        old = function.__code__
        place = old.co_qualname, old.co_firstlineno
        if old.co_filename == mutant.file and place in changed:
            function.__code__ = changed[place]


def _forked(work: Callable[[], int], seconds: float = math.inf) -> int | None:
    """The status with which work ends in a silent process of its own; None if it takes longer."""
    process = os.fork()
    if process == 0:
        status = 1
        with contextlib.suppress(BaseException):
            os.setsid()
            null = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(null, number)
            status = work()
        os._exit(status)
    end, pause = time.monotonic() + seconds, 0.001
    while time.monotonic() < end:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None


class _Session:
    """A plugin of pytest that hands the collected tests to ``work``, whose result is the process's status."""

    def __init__(self, work: Callable[[list[Any]], int]) -> None:
        self.work = work

    def pytest_runtestloop(self, session: Any) -> None:
        # a test file that cannot be imported has failed: pytest itself would say so only here
        os._exit(1 if session.testsfailed else self.work(session.items))


def _in_session(places: Sequence[str], work: Callable[[list[Any]], int]) -> int:
    """Collect the tests of files and folders, and hand them to ``work``."""
    import hypothesis
    import pytest

    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)  # to shrink what fails takes seconds
    hypothesis.settings.register_profile(
        "mutants", derandomize=True, deadline=None, max_examples=50, database=None, phases=phases
    )
    options = ["-q", "--tb=no", "-p", "no:cacheprovider", "-m", "not slow", "--hypothesis-profile=mutants"]
    return int(pytest.main([*options, *places], plugins=[_Session(work)]))


class _Watch:
    """A plugin of pytest that counts failures, and tells which part of which test begins."""

    def __init__(self, begins: Callable[[str, str], None] = lambda part, name: None) -> None:
        self.failures = 0
        self.begins = begins

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.failures += report.failed

    def pytest_runtest_setup(self, item: Any) -> None:
        self.begins("setup", item.nodeid)

    def pytest_runtest_call(self, item: Any) -> None:
        self.begins("call", item.nodeid)

    def pytest_runtest_teardown(self, item: Any) -> None:
        self.begins("teardown", item.nodeid)


def _run(items: Sequence[Any], watch: _Watch | None = None) -> int:
    """Run tests in this order until one fails: status 0 if none does."""
    watch = watch or _Watch()
    for item, following in zip(items, [*items[1:], None]):
        if item is items[0]:
            item.config.pluginmanager.register(watch)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if watch.failures:
            return 1
    return 0


class Measured:
    """Which tests execute which lines of a folder of the package, and how long they take.

    Attributes:
        seconds: of each test, by its id.
        tests: file below ``eureka_nlg`` -> line -> ids of the tests that execute it; ``""`` is the import.
        modules: what the tests import of others' packages.
    """

    def __init__(
        self, seconds: dict[str, float], tests: dict[str, dict[int, set[str]]], modules: list[str]
    ) -> None:
        self.seconds, self.tests, self.modules = seconds, tests, modules

    def import_modules(self) -> None:
        """Import what the tests would, once for all processes that are forked then: it takes seconds."""
        for name in self.modules:
            with contextlib.suppress(Exception):
                importlib.import_module(name)

    @classmethod
    def of(cls, folder: str, keep: Path | None) -> Measured:
        """Run all tests of a folder, but those that were measured already, if ``keep`` has a file of them."""
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(keep or temporary) / folder
            path.parent.mkdir(parents=True, exist_ok=True)
            if _forked(lambda: _measure(folder, path)):
                raise SystemExit(f"{' '.join(TESTS[folder])} do not pass without a mutant")
            return cls(*pickle.loads(path.read_bytes()))

    def runs_at_import(self, mutant: Mutant) -> bool:
        """Whether the mutant's lines run when its module is imported."""
        lines = self.tests.get(mutant.path, {})
        return any("" in lines.get(line, ()) for line in mutant.lines)

    def names(self, mutant: Mutant) -> set[str]:
        """The tests for a mutant; of one that runs at import, all in files that execute anything of its."""
        lines = self.tests.get(mutant.path, {})
        if not self.runs_at_import(mutant):
            return {name for line in mutant.lines for name in lines.get(line, ())}
        files = {_file_of(name) for names in lines.values() for name in names if name} | {_OPTIONS}
        return {name for name in self.seconds if _file_of(name) in files}

    def files(self, mutant: Mutant) -> list[str]:
        """The files of these tests, the quickest first, but for the one with a table of all options."""
        seconds: Counter[str] = Counter()
        for name in self.names(mutant):
            seconds[_file_of(name)] += self.seconds[name]  # type: ignore[assignment]
        return sorted(seconds, key=lambda file: (file != _OPTIONS, seconds[file]))

    def chosen(self, mutant: Mutant, items: Sequence[Any], limit: float) -> list[Any]:
        """The tests for a mutant in the order to run them, and at most so many seconds of them.

        The quick ones come first, and of each function with many cases, some of these before all of them.
        """
        names = self.names(mutant)
        wanted = [item for item in items if item.nodeid in names]
        cases: Counter[str] = Counter()
        keys = {}
        for item in sorted(wanted, key=lambda item: zlib.crc32(item.nodeid.encode())):  # as good as drawn
            function, took = item.nodeid.partition("[")[0], self.seconds[item.nodeid]
            keys[item.nodeid] = took > 1, cases[function].bit_length(), math.ceil(math.log10(took + 0.01))
            cases[function] += 1
        wanted.sort(key=lambda item: keys[item.nodeid])  # within these, tests of a file share fixtures
        totals = itertools.accumulate(self.seconds[item.nodeid] for item in wanted)
        return [item for item, total in zip(wanted, totals) if total <= limit]


def _measure(folder: str, answer: Path) -> int:
    """Run the tests of a folder that ``answer`` lacks, and add them to it; status 0 if they pass."""
    import coverage

    include = f"{ROOT}/eureka_nlg/{folder}/*"
    lines = coverage.Coverage(data_file=None, config_file=False, include=include, messages=False)
    seconds: dict[str, float] = {}
    known = Measured({}, {}, [])
    if answer.exists():
        known = Measured(*pickle.loads(answer.read_bytes()))
    begun = 0.0

    def begins(part: str, name: str) -> None:
        nonlocal begun
        if part == "setup":
            begun = time.monotonic()
            _empty_caches()
        elif part == "teardown":
            seconds[name] = time.monotonic() - begun
        # what a setup executes may have made a fixture that all tests of the file share
        lines.switch_context(name if part == "call" else _file_of(name))

    def work(items: list[Any]) -> int:
        status = _run([item for item in items if item.nodeid not in known.seconds], _Watch(begins))
        lines.stop()
        of_file: dict[str, list[str]] = {}
        for name in seconds:
            of_file.setdefault(_file_of(name), []).append(name)
        data = lines.get_data()
        for file in data.measured_files():
            found = known.tests.setdefault(str(Path(file).relative_to(ROOT / "eureka_nlg")), {})
            for line, contexts in data.contexts_by_lineno(file).items():
                found.setdefault(line, set()).update(
                    name for context in contexts for name in of_file.get(context, [context])
                )
        modules = {
            name
            for name, module in list(sys.modules.items())
            if "site-packages" in (getattr(module, "__file__", None) or "")
        }
        if status == 0:
            kept = known.seconds | seconds, known.tests, sorted(modules.union(known.modules))
            answer.write_bytes(pickle.dumps(kept))
        return status

    lines.start()
    return _in_session([*TESTS[folder], f"eureka_nlg/{folder}"], work)


def _file_of(name: str) -> str:
    return name.partition("::")[0]


def _empty_caches() -> None:
    """Empty the caches of the package, so that each test executes all that it depends on."""
    for name, module in list(sys.modules.items()):
        if name.startswith("eureka_nlg."):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear") and not isinstance(value, type):
                    value.cache_clear()


class Run:
    """Runs the mutants of a folder one after the other, and keeps what happened to each.

    Args:
        mutants: those to run.
        measured: of their tests.
        results: a JSON file: file -> mutant -> "noticed", "too slow" or "survived".
        limit: seconds of tests for a mutant, of those without mutant.
    """

    def __init__(self, mutants: Sequence[Mutant], measured: Measured, results: Path, limit: float) -> None:
        self.mutants, self.measured, self.results, self.limit = mutants, measured, results, limit
        self.out = os.fdopen(os.dup(1), "w")  # standard output is another one in forked processes
        self.begun, self.count = time.monotonic(), 0

    def all(self) -> None:
        """Run them all: those of lines that run at import each in a process that then imports the package."""
        self.measured.import_modules()
        inside = [mutant for mutant in self.mutants if not self.measured.runs_at_import(mutant)]
        outside = [mutant for mutant in self.mutants if self.measured.runs_at_import(mutant)]
        folder = self.mutants[0].path.partition("/")[0]

        def change(items: list[Any]) -> int:
            living = _living(folder)
            for mutant in inside:
                tests = self.measured.chosen(mutant, items, self.limit)
                self._one(mutant, [functools.partial(_changed, mutant, living, tests)], 20)
            return 0

        if inside and _forked(lambda: _in_session([*TESTS[folder], f"eureka_nlg/{folder}"], change)):
            raise SystemExit(f"the tests of {folder} could not be collected")
        self.count = len(inside)
        for mutant in outside:
            files = self.measured.files(mutant)
            self._one(mutant, [functools.partial(self._imported, mutant, file) for file in files], 60)

    def _imported(self, mutant: Mutant, file: str) -> int:
        finder = _Finder(mutant)
        sys.meta_path.insert(0, finder)
        importlib.import_module(finder.name)  # before pytest, which would read the file for its doctests
        return _in_session([file], lambda items: _run(self.measured.chosen(mutant, items, self.limit)))

    def _one(self, mutant: Mutant, works: Sequence[Callable[[], int]], more: float) -> None:
        without = sum(self.measured.seconds[name] for name in self.measured.names(mutant))
        status: int | None = 0
        for work in works:
            status = _forked(work, 5 * min(without, self.limit) + more)
            if status != 0:
                break
        results = read_results(self.results)
        result = "too slow" if status is None else "noticed" if status else "survived"
        results.setdefault(mutant.path, {})[mutant.name] = result
        partial = self.results.with_name(f"{self.results.name}.partial")
        partial.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        partial.replace(self.results)
        self.count += 1
        if status == 0:
            print(f"survives: {mutant}", file=self.out, flush=True)
        if self.count % 50 == 0:
            each = (time.monotonic() - self.begun) / self.count
            left = each * (len(self.mutants) - self.count) / 60
            said = f"{self.count} of {len(self.mutants)} run, {each:.2f} s each, {left:.0f} min left"
            print(said, file=self.out, flush=True)


def _changed(mutant: Mutant, functions: Sequence[FunctionType], tests: Sequence[Any]) -> int:
    _change_in_place(mutant, functions)
    return _run(tests)


def read_results(path: Path) -> dict[str, dict[str, str]]:
    """The results in a file; none if it is not there."""
    found: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def read_equivalent() -> dict[str, dict[str, str]]:
    """File -> mutant -> why it changes no number."""
    entries = json.loads(EQUIVALENT.read_text(encoding="utf-8"))
    reasons: dict[str, dict[str, str]] = {}
    for entry in entries:
        for path, names in entry["mutants"].items():
            for name in names:
                reasons.setdefault(path, {})[name] = entry["reason"]
    return reasons


def main(arguments: Sequence[str] | None = None) -> int:
    """Run mutants, print those that survive."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="below eureka_nlg; all by default")
    parser.add_argument("--sample", type=int, metavar="N", help="run N of the mutants")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="print the mutants, and run none")
    parser.add_argument("--json", type=Path, help="keep the results there; what it has already is not run")
    parser.add_argument(
        "--survivors", action="store_true", help="run those again that --json has as survivors"
    )
    parser.add_argument(
        "--measured", type=Path, metavar="DIR", help="keep there what tests execute, and use it"
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=math.inf,
        metavar="SECONDS",
        help="of tests for a mutant (default: all)",
    )
    args = parser.parse_args(arguments)
    files = [name.removeprefix("eureka_nlg/") for name in args.files] or FILES
    if unknown := sorted(set(files) - set(FILES)):
        parser.error(f"no mutants are known of {', '.join(unknown)}; expected some of {', '.join(FILES)}")
    equivalent = read_equivalent()
    every = [mutant for path in files for mutant in mutants_of(path)]
    mutants = [mutant for mutant in every if mutant.name not in equivalent.get(mutant.path, {})]
    names = {(mutant.path, mutant.name) for mutant in every}
    gone = [
        f"{path} {name}" for path in files for name in equivalent.get(path, {}) if (path, name) not in names
    ]
    if gone:
        parser.error(f"{EQUIVALENT.name} names what is no mutant any more: {'; '.join(gone)}")
    known = len(every) - len(mutants)
    print(f"{len(mutants)} mutants of {len(files)} files, {known} more that change no number", flush=True)
    if args.sample is not None:
        mutants = random.Random(args.seed).sample(mutants, min(args.sample, len(mutants)))
    if args.list:
        print("\n".join(map(str, mutants)))
        return 0
    os.environ["OMP_NUM_THREADS"] = "1"
    os.chdir(ROOT)
    sys.path[1:1] = [str(ROOT), str(ROOT / "tests" / "helpers")]
    import hypothesis  # noqa: F401
    import pytest  # noqa: F401
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        path = args.json or Path(temporary) / "results.json"
        before, again = read_results(path), {None, "survived"} if args.survivors else {None}
        to_run = [one for one in mutants if before.get(one.path, {}).get(one.name) in again]
        for folder in TESTS:
            if of_folder := [one for one in to_run if one.path.startswith(f"{folder}/")]:
                Run(of_folder, Measured.of(folder, args.measured), path, args.limit).all()
        results = read_results(path)
    counts = Counter(results.get(mutant.path, {}).get(mutant.name) for mutant in mutants)
    print(f"{len(mutants)} run: {counts['noticed']} noticed, {counts['too slow']} too slow, ", end="")
    print(f"{counts['survived']} survive")
    for mutant in mutants:
        if results.get(mutant.path, {}).get(mutant.name) == "survived":
            print(f"survives: {mutant}")
    return int(counts["survived"] > 0)


if __name__ == "__main__":
    sys.exit(main())

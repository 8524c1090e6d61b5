"""What the pages of the site show is true: Python runs, commands exist, numbers are those of the results.

`make site` itself checks links, references and what its directives take from elsewhere. Commands of eureka
and fairseq-train are parsed in test_documents.py; the blocks of docs/huggingface.md run in their own test.
"""

from __future__ import annotations

import configparser
import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import pytest

from eureka_nlg.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
WITH_PYTHON = [page for page in PAGES if "```python" in page.read_text(encoding="utf-8")]
ELSEWHERE = {"huggingface.md"}  # tests/eureka_nlg/integrations/test_huggingface_document.py


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT / "docs"))


@pytest.mark.parametrize("page", [page for page in WITH_PYTHON if page.name not in ELSEWHERE], ids=name_of)
def test_python_runs_from_the_top_of_the_page_down(page: Path) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    for language, code in FENCE.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            exec(compile(code, page.name, "exec", dont_inherit=True), names)


def test_every_fenced_block_has_a_test() -> None:
    """Python runs; corpora.md's are files that test_detection reads; directives are built by `make site`."""
    others = {
        (name_of(page), language)
        for page in PAGES
        for language, _ in FENCE.findall(page.read_text(encoding="utf-8"))
        if language != "python" and not re.match(r"\{[\w-]+\}", language) and page.name != "corpora.md"
    }
    assert others <= {("huggingface.md", "bash")}, "a block that nothing reads"


def commands() -> list[tuple[str, str]]:
    """Page, and each command line in an indented or shell block."""
    found = []
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]:
        text = re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8"))
        found += [(page.name, line.strip()) for line in re.findall(r"^ {4,}(\S[^\n]*)", text, re.MULTILINE)]
        for block in re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            found += [(page.name, line) for line in block.splitlines()]
    return found


def of_program(*programs: str) -> list[Any]:
    """The commands of programs, as words without the comment."""
    return [
        pytest.param(shlex.split(line, comments=True), id=f"{page}: {line[:50]}")
        for page, line in commands()
        if line.partition(" ")[0] in programs
    ]


@pytest.mark.parametrize("words", of_program("make"))
def test_make_has_the_target(words: list[str]) -> None:
    target = next(word for word in words[1:] if "=" not in word)
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("words", of_program("python", "sh", ".venv/bin/python"))
def test_the_script_is_there(words: list[str]) -> None:
    if words[1] == "-m":
        assert words[2] in ("pytest", "eureka_nlg", "nltk.downloader")
        words = words[3:]
    for word in words:
        if word.endswith((".py", ".sh")):
            assert (ROOT / word).is_file()


@pytest.mark.parametrize("words", of_program("pip"))
def test_pip_is_asked_for_extras_that_exist(words: list[str]) -> None:
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = set(metadata["options.extras_require"])
    asked = {extra for word in words for extra in re.findall(r"\[([\w,]+)\]", word)}
    assert {extra for several in asked for extra in several.split(",")} <= extras


def test_pip_is_asked_for_no_package_that_the_index_lacks() -> None:
    """As long as docs/install.md says that the package is not on PyPI, it is installed from a clone."""
    assert "not on PyPI yet" in (ROOT / "docs/install.md").read_text(encoding="utf-8")
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]:
        assert not re.findall(r"pip install '?eureka-nlg", page.read_text(encoding="utf-8")), page.name


@pytest.mark.parametrize("words", of_program("torchrun"))
def test_torchrun_starts_a_command_of_ours(words: list[str]) -> None:
    module = words[words.index("-m") + 1]
    assert module in ("eureka_nlg", "eureka_nlg.cli.main")
    assert words[words.index("-m") + 2] in ("finetune", "vision")


def test_which_loss_has_no_number_of_its_own() -> None:
    text = (ROOT / "docs/which_loss.md").read_text(encoding="utf-8")
    table = text.partition("| situation |")[2].partition("\n\n")[0]
    measured = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs/results").glob("*.md"))
    claimed = re.findall(r"(?<![\w.=])\d+(?:\.\d+)?(?: %| ±)?", re.sub(r"`[^`]*`|\([^)]*\)", "", table))
    numbers = [number.strip(" ±") for number in claimed]
    assert len(numbers) > 20

    def is_measured(number: str) -> bool:
        value = number.removesuffix(" %")
        if value in re.findall(r"\d+(?:\.\d+)?", measured):
            return True
        digits = len(value.partition(".")[2])
        return any(f"{float(other):.{digits}f}" == value for other in re.findall(r"\d+\.\d+", measured))

    assert not {number for number in numbers if not is_measured(number)}


def test_lines_break_at_joints_and_not_before_percent_signs() -> None:
    nodes = pytest.importorskip("docutils.nodes")
    set_breaks = runpy.run_path(str(ROOT / "docs/_site/breaks.py"))["set_breaks"]

    def broken(*children: Any) -> Any:
        document = pytest.importorskip("docutils.utils").new_document("page")
        document += children
        set_breaks(None, document)
        return document

    text = nodes.paragraph("", "", nodes.Text("5 % of 3 rows, 4 at 0.5 %"), nodes.literal("", "7 % 2"))
    assert broken(text).astext() == "5\u00a0% of 3 rows, 4 at 0.5\u00a0%7 % 2"
    code = "CrossEntropyLoss(weight=class_balanced_weight(counts, 0.9999)) --logit-adjustment a.b"
    cell = broken(nodes.table("", nodes.literal("", code)))
    assert cell.astext() == (
        "CrossEntropyLoss(<wbr>weight=<wbr>class_<wbr>balanced_<wbr>weight(<wbr>counts, "
        '<span class="whole">0.9999))</span> <span class="whole">--logit-adjustment</span> '
        '<span class="whole">a.b</span>'
    )
    long = broken(nodes.table("", nodes.literal("", "configs/vision/coco.yaml, 0.12345678901234")))
    assert long.astext() == "configs/<wbr>vision/<wbr>coco.<wbr>yaml, 0.12345678901234"


def test_every_command_is_described() -> None:
    text = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    assert re.findall(r"\{command-help\} (\S+)", text) == list(COMMANDS)


def test_every_loss_has_a_page() -> None:
    from eureka_nlg import losses

    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs/losses").glob("*.md"))
    documented = set(re.findall(r":: eureka_nlg\.losses\.(\w+)", pages))
    # the bases of modules have nothing to call by themselves
    assert documented == set(losses.__all__) - {"LogitsLoss", "SigmoidLoss"}
    rows = runpy.run_path(str(ROOT / "docs/_site/tables.py"))["rows_of"](
        (ROOT / "docs/losses.md").read_text(encoding="utf-8"), "loss"
    )[1]
    shown = {
        line
        for block in re.findall(r"```\{formulas\}\n(.*?)```", pages, re.DOTALL)
        for line in block.splitlines()
    }
    families = {name for name in rows if name not in ("class-balanced",)}  # a weight, in class_weights.md
    assert families <= shown, "give the loss a page in docs/losses"

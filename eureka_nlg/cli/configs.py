"""List the configs that come with the package, or copy them in order to change them.

    eureka configs
    eureka configs vision/cifar10_lt
    eureka configs --copy my_configs

Each config is one experiment. A listed path can be given to `eureka train` or `eureka vision train` in any
folder.
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

from eureka_nlg.bundled import bundled_root
from eureka_nlg.errors import UserError
from eureka_nlg.files import new_folder

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("folder", nargs="?", default="", metavar="FOLDER", help="list only this part")
    parser.add_argument(
        "--copy", type=Path, metavar="DIR", help="copy the configs to this new folder instead"
    )


def run(args: argparse.Namespace) -> int:
    """List or copy."""
    root = bundled_root()
    folder = root / "configs" / args.folder.removeprefix("configs").lstrip("/")
    if not folder.is_dir():
        known = sorted(
            {str(path.parent.relative_to(root / "configs")) for path in root.glob("configs/**/*.yaml")}
        )
        raise UserError(f"no configs in {args.folder}: expected one of {', '.join(known)}")
    if args.copy is not None:
        with new_folder(args.copy) as target:
            shutil.copytree(folder, target, dirs_exist_ok=True)
            for path in target.rglob("*.yaml"):
                _with_its_base(path, folder / path.relative_to(target), folder)
        print(f"wrote {args.copy}: a copy of {folder.relative_to(root)}")
        return 0
    for path in sorted(folder.rglob("*.yaml")):
        if path.name != "base.yaml":
            print(f"{path.relative_to(root)}\n    {_purpose(path)}")
    return 0


def _with_its_base(copy: Path, original: Path, folder: Path) -> None:
    """Put a base that lies outside of the copied folder beside the copy, and name it there."""
    text = original.read_text(encoding="utf-8")
    found = re.search(r"^base: *(\S+)", text, re.MULTILINE)
    if found is None:
        return
    base = (original.parent / found[1]).resolve()
    if base.is_relative_to(folder.resolve()):
        return
    name = f"base_of_{base.parent.name}.yaml"
    shutil.copy(base, copy.with_name(name))
    copy.write_text(text.replace(found[0], f"base: {name}"), encoding="utf-8")
    _with_its_base(copy.with_name(name), base, folder)


def _purpose(path: Path) -> str:
    """The first sentence of the header, or its first line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    paragraph = []
    for line in lines:
        if not line.startswith("# "):
            break
        paragraph.append(line[2:].strip())
    sentence, stop, _ = " ".join(paragraph).partition(". ")
    return sentence + stop.strip()

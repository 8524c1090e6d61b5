"""Reading of JSON files, and digests of files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eureka_nlg.errors import UserError
from eureka_nlg.limits import parse_json

__all__ = ["read_json", "sha256", "sha256_of"]


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing, is not JSON, or exceeds the limits of :mod:`eureka_nlg.limits`; the
            message has the position.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")  # some editors write a byte order mark
        value = parse_json(text)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()  # half a character could not be printed or written
        return value
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeEncodeError as error:
        raise UserError(
            f"{path}: is no JSON (\\u{ord(error.object[error.start]):04x} is half of a character)"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is no JSON (byte {error.start + 1} is not valid UTF-8)") from error
    except ValueError as error:
        raise UserError(f"{path}: is no JSON ({error})") from error


def sha256(path: str | os.PathLike[str]) -> str:
    """Hexadecimal SHA-256 digest of a file, which is read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def sha256_of(paths: Sequence[str | os.PathLike[str]]) -> str:
    """SHA-256 digest of a file; for several files, of their names and digests."""
    if len(paths) == 1:
        return sha256(paths[0])
    lines = [f"{Path(path).name} {sha256(path)}\n" for path in paths]
    return hashlib.sha256("".join(lines).encode()).hexdigest()

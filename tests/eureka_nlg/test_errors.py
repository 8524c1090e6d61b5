"""The import of optional packages."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from eureka_nlg.errors import MissingExtraError, UserError, require


def test_require_imports() -> None:
    assert require("json.decoder", extra="data") is sys.modules["json.decoder"]


def test_a_missing_package_names_its_extra() -> None:
    with pytest.raises(MissingExtraError) as caught:
        require("no_such_package_here.metrics", extra="metrics")
    message = str(caught.value)
    assert "no_such_package_here" in message
    assert "'eureka-nlg[metrics]'" in message
    assert "\n" not in message


def test_errors_can_be_caught_as_their_kind() -> None:
    assert issubclass(UserError, ValueError)
    assert issubclass(MissingExtraError, UserError)
    assert issubclass(MissingExtraError, ImportError)


def test_a_fault_inside_of_an_installed_package_is_no_missing_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "package_with_a_fault.py").write_text("import no_such_package_here\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package_here") as caught:
        require("package_with_a_fault", extra="data")
    assert not isinstance(caught.value, MissingExtraError)

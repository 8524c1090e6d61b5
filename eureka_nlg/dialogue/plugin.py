"""Find the fairseq plug-in."""

from __future__ import annotations

import importlib.util
import os

from eureka_nlg.errors import UserError

__all__ = ["plugin_dir", "user_dir"]


def plugin_dir() -> str:
    """Folder of the package ``fairseq_plugins``, found without importing it (or fairseq).

    Raises:
        UserError: it is not installed.
    """
    spec = importlib.util.find_spec("fairseq_plugins")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("the package fairseq_plugins is not installed: pip install eureka-nlg")
    return next(iter(spec.submodule_search_locations))


def user_dir() -> str:
    """The shortest path of the plug-in's folder: relative inside a clone of the project, else absolute."""
    folder = plugin_dir()
    relative = os.path.relpath(folder)
    return folder if relative.startswith(os.pardir) else relative

"""Everything that reads."""

from __future__ import annotations

from targets import chat, command_line, files_of_runs, images, saved, texts
from targets.base import Target

__all__ = ["TARGETS"]

TARGETS: list[Target] = [
    *texts.TARGETS,
    *files_of_runs.TARGETS,
    *images.TARGETS,
    *saved.TARGETS,
    *chat.TARGETS,
    *command_line.TARGETS,
]

"""Tasks, registered with fairseq when this package is imported."""

from fairseq_plugins.tasks.dialogue import DialogueConfig, DialogueTask

__all__ = ["DialogueConfig", "DialogueTask"]

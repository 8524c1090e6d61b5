"""Architectures, registered with fairseq when this package is imported."""

from fairseq_plugins.models.lstm_dialogue import LSTMDialogueModel

__all__ = ["LSTMDialogueModel"]

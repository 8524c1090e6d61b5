"""What all pages of the project look like: colours for light and dark, and the button between them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["LOOK"]

LOOK = Path(__file__).parent
"""Folder of ``theme.css`` and ``theme.js``; the script comes first and sets strict mode."""

"""The style of all pages of the project: colours for light and dark mode, and the button to switch."""

from __future__ import annotations

from pathlib import Path

__all__ = ["LOOK"]

LOOK = Path(__file__).parent
"""Folder with ``theme.css`` and ``theme.js``. The script has to come first, since it sets strict mode."""

"""Scores of replies, a file for each family; ``catalogue`` names them, ``scores`` computes a choice."""

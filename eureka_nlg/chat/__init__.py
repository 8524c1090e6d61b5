"""Talking to trained models: in the terminal, and on a page of this machine."""

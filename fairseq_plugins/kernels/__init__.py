"""Kernels of the dialogue model for CPUs: LSTMs, dropout, products of few rows, the best words."""

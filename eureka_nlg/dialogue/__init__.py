"""Dialogue corpora: reading them, preparing fairseq data from them, training on them and decoding."""

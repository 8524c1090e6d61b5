"""Decoding: fairseq's search for replies, with what it does at each word in C where that is known."""

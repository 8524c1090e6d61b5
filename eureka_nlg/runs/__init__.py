"""Trained dialogue models of either kind, fairseq's and transformers', behind one interface."""

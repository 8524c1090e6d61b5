"""The grammar that writes the bundled sample corpus, and its word material in ``topics``."""

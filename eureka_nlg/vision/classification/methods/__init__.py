"""Methods of long-tailed classification, one per file; the first lines of a file explain its method."""

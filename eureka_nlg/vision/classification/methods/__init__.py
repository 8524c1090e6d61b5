"""Methods of long-tailed classification, each in a file with its idea in the first lines."""

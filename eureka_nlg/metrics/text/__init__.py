"""Text as the metrics read it: lines of files, ids of words and n-grams, pairs of reply and reference."""

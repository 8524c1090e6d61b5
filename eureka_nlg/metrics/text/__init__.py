"""Text on its way into the metrics: lines of files, ids of words and n-grams, pairs."""

"""Classes and words by their training counts: frequency bands, accuracy and likelihood of each."""

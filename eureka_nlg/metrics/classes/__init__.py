"""Classes and words by their training counts: frequency bands, and accuracy and likelihood in each band."""

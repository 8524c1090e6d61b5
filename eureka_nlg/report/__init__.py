"""What trained models do, to look at: figures, and one self-contained HTML page."""

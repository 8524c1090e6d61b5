"""Long-tailed image classification: config, losses, task, runs, evaluation, sweep."""

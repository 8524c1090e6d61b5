"""Data handling that both image tasks share: order of images, worker processes, reports of problems."""

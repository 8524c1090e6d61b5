"""What both image tasks need of their data: order of images, worker processes, reports of problems."""

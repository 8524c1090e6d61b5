"""Images, long-tailed: classification and object detection on one training loop."""

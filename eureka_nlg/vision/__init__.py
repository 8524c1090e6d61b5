"""Long-tailed image classification and object detection, on one training loop."""

"""Long-tailed shapes in COCO's format, for trials of the detector: the drawing and the data set."""

"""Long-tailed image classification with the losses of :mod:`eureka_nlg.losses`."""

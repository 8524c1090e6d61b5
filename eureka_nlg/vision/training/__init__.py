"""One training loop for every vision task, on Hugging Face accelerate."""

from eureka_nlg.vision.training.loop import Interrupted, Task, fit

__all__ = ["Task", "fit", "Interrupted"]

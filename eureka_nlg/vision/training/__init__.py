"""One training loop for every vision task, on Hugging Face accelerate."""

from eureka_nlg.vision.training.loop import fit
from eureka_nlg.vision.training.signals import Interrupted
from eureka_nlg.vision.training.task import Task

__all__ = ["Task", "fit", "Interrupted"]

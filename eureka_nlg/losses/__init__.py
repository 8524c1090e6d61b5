"""The losses of the paper: functions, modules, and when each of them holds."""

from eureka_nlg.losses.functional import eureka_loss
from eureka_nlg.losses.modules import EurekaLoss

__all__ = ["eureka_loss", "EurekaLoss"]

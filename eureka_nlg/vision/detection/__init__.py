"""Object detection with the sigmoid losses of :mod:`eureka_nlg.losses`."""

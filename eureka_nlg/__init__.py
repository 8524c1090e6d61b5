"""The Eureka Loss and what is needed to use it on dialogue and images."""

__version__ = "0.2.0.dev0"

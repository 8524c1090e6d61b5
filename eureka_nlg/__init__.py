"""The Eureka Loss and what is needed to use it on dialogue and images."""

__version__ = "0.1.0"

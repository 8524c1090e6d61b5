"""The Eureka Loss, and tools to use it for dialogue and images."""

__version__ = "0.3.0.dev0"

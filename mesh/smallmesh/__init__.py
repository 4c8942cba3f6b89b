"""A mesh of small, specialised language models on NATS."""

__version__ = "0.1.0"

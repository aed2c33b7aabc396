"""Elastic Faces: the library that the front end, the workers and the client share."""

__version__ = "0.1.0"

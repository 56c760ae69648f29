"""Joins token authentication to a Flask application."""

from .auth import TokenAuth
from .verifier import TokenVerifier

__all__ = ["TokenAuth", "TokenVerifier"]

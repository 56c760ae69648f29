"""The HTTP API: its endpoints, their bodies, and the description of all of them."""

from . import logins, tokens
from .endpoint import ROUTES

__all__ = ["ROUTES", "logins", "tokens"]

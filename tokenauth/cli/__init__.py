"""`flask tokenauth ...`: a plugin of Flask, there before there is an application."""

from . import check, database, sessions, tokens, users
from .group import tokenauth

__all__ = ["check", "database", "sessions", "tokenauth", "tokens", "users"]

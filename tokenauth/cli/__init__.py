"""`flask auth ...`: a plugin of Flask, there before there is an application."""

from . import database, sessions, tokens, users
from .group import auth

__all__ = ["auth", "database", "sessions", "tokens", "users"]

"""`flask auth ...`: a plugin of Flask, there before there is an application."""

from . import check, database, sessions, tokens, users
from .group import auth

__all__ = ["auth", "check", "database", "sessions", "tokens", "users"]

"""`flask tokenauth ...`: a plugin of Flask, found before there is an application."""

from . import check, database, inspect_token, passwords, sessions, users
from .group import tokenauth

__all__ = ["tokenauth"]

# Each has added its commands to the group.
MODULES = (check, database, inspect_token, passwords, sessions, users)

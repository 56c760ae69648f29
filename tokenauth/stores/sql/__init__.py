"""Users and sessions in a database, through SQLAlchemy Core."""

from .database import Database
from .sessions import SQLSessionStore
from .tables import include_object, metadata
from .users import SQLUserStore

__all__ = [
    "Database",
    "SQLSessionStore",
    "SQLUserStore",
    "include_object",
    "metadata",
]

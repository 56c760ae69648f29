"""Users and sessions in a database, through SQLAlchemy Core."""

from .database import Database
from .sessions import SQLSessionStore
from .users import SQLUserStore

__all__ = ["Database", "SQLSessionStore", "SQLUserStore"]

"""Sessions in Redis or Valkey."""

from .client import DEFAULTS, open_client
from .sessions import RedisSessionStore

__all__ = ["DEFAULTS", "RedisSessionStore", "open_client"]

"""Sessions in Redis or Valkey."""

from .client import DEFAULTS
from .sessions import RedisSessionStore

__all__ = ["DEFAULTS", "RedisSessionStore"]

"""The stores' promises kept on real engines, one module each."""

from __future__ import annotations

from ..errors import ConfigurationError
from ..sessions import SessionStore
from .memory import MemorySessionStore


def open_sessions(url: str) -> SessionStore:
    """Return the session store that a URL names.

    Args:
        url: `memory://`.

    Raises:
        ConfigurationError: no store is known by this URL's scheme.
    """
    scheme = url.partition(":")[0]
    if scheme == "memory":
        return MemorySessionStore()
    raise ConfigurationError(
        f"TOKENAUTH_SESSION_URL names no known store: '{scheme}'. Use 'memory://'."
    )

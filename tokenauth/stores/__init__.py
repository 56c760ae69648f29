"""The stores' promises kept on real engines, one module each."""

from __future__ import annotations

from ..errors import ConfigurationError
from ..sessions import SessionStore
from .memory import MemorySessionStore


def open_sessions(url: str) -> SessionStore:
    """Return the session store that a URL names.

    Args:
        url: `memory://` or `redis://...`.

    Raises:
        ConfigurationError: no store is known by this URL's scheme.
    """
    scheme = url.partition(":")[0]
    if scheme == "memory":
        return MemorySessionStore()
    if scheme in {"redis", "rediss", "unix"}:
        return _open_redis(url)
    raise ConfigurationError(
        f"TOKENAUTH_SESSION_URL names no known store: '{scheme[:20]}'. Use 'memory://' "
        "or 'redis://...'."
    )


def _open_redis(url: str) -> SessionStore:
    try:
        from .redis import RedisSessionStore
    except ImportError:
        raise ConfigurationError(
            "Redis needs its driver: pip install 'flask-login-tokenauth[redis]'."
        ) from None
    return RedisSessionStore(url)

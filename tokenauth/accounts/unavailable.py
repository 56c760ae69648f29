"""Why a store cannot answer, in words of a closed set.

For SQL, Redis and the counters of attempts alike. Drivers are not imported: their
errors are known by their names and codes. Their texts, which may hold a host, a row or
what was sent, are looked at and never passed on.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Final

ROLE_CHANGED: Final = frozenset(
    {"authentication", "loading", "no_primary", "read_only"}
)
"""Reasons for which a kept connection is not worth keeping: a new one may be led to
another server, or be let in."""

# The beginning of what PostgreSQL (SQLSTATE) and SQLite call it; the longest counts.
_CODES: Final = {
    "authentication": "28",
    "conflict": "40",
    "connection_lost": "08 57P01 57P02",
    "corrupt": "SQLITE_CORRUPT SQLITE_NOTADB",
    "disk": "SQLITE_IOERR",
    "disk_full": "53100 SQLITE_FULL",
    "loading": "57P03",
    "no_database": "3D000 SQLITE_CANTOPEN",
    "no_permission": "42501 SQLITE_PERM",
    "no_table": "42703 42P01",
    "out_of_memory": "53200 SQLITE_NOMEM",
    "prepared_statement": "26000 42P05",
    "read_only": "25006 SQLITE_READONLY",
    "timeout": "55P03 57014 SQLITE_BUSY SQLITE_LOCKED",
    "too_many_connections": "53300",
}
# The names of redis' errors.
_NAMES: Final = {
    "authentication": "AuthenticationError AuthenticationWrongNumberOfArgsError",
    "loading": "BusyLoadingError",
    "no_permission": "NoPermissionError",
    "no_primary": "ClusterDownError MasterDownError "
    "MasterNotFoundError SlotNotCoveredError",
    "out_of_memory": "OutOfMemoryError",
    "read_only": "ReadOnlyError",
    "timeout": "TimeoutError",
    "too_many_connections": "MaxConnectionsError",
}
# What has no code of its own, in the order in which it counts.
_TEXTS: Final = (
    ("noauth", "authentication"),
    ("wrongpass", "authentication"),
    ("authentication failed", "authentication"),
    ("no password supplied", "authentication"),
    ("pg_hba.conf", "authentication"),
    ("permission denied", "no_permission"),
    ("could not translate host name", "unknown_host"),
    ("failed to resolve host", "unknown_host"),
    ("connection refused", "refused"),
    ("no such file", "refused"),
    ("unreachable", "unreachable"),
    ("no route to host", "unreachable"),
    ("cannot connect to server", "unreachable"),
    ("too many", "too_many_connections"),
    ("connection slots", "too_many_connections"),
    ("no more connections", "too_many_connections"),
    ("max number of clients", "too_many_connections"),
    ('role "', "authentication"),
    ("database system is", "loading"),
    ("readonly", "read_only"),
    ("misconf", "disk"),
    ("noreplicas", "no_primary"),
    ("oom command", "out_of_memory"),
    ("db index is out of range", "no_database"),
    ("no such table", "no_table"),
    ("no such database", "no_database"),
    ('database "', "no_database"),
    ("timeout", "timeout"),
    ("timed out", "timeout"),
    ("closed the connection", "connection_lost"),
    ("connection closed", "connection_lost"),
    ("connection reset", "connection_lost"),
    ("certificate", "tls"),
    ("ssl", "tls"),
)
_TYPES: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (socket.gaierror, "unknown_host"),
    (ssl.SSLError, "tls"),
    (ConnectionRefusedError, "refused"),
    (FileNotFoundError, "refused"),  # a Unix socket
    (PermissionError, "no_permission"),
    (TimeoutError, "timeout"),
    (ConnectionError, "connection_lost"),
)

REASONS: Final = frozenset(
    {*_CODES, *_NAMES, *dict(_TEXTS).values(), *dict(_TYPES).values(), "failed"}
)
"""Every reason there is: the `reason` of a `StoreUnavailableError`."""


def reason_of(error: BaseException) -> str:
    """Return why a store cannot answer, one of `REASONS`: `failed` if nobody knows.

    Args:
        error: What a driver raised.
    """
    errors = list(_chain(error))
    for look in (_by_code, _by_type, _by_text):
        for each in errors:
            if reason := look(each):
                return reason
    return "failed"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those behind it: SQLAlchemy and redis wrap others."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        wrapped = getattr(error, "orig", None) or getattr(error, "storage_error", None)
        error = wrapped or error.__cause__ or error.__context__


def _by_code(error: BaseException) -> str | None:
    for attribute in ("sqlstate", "sqlite_errorname"):
        code = getattr(error, attribute, None) or ""
        for length in range(len(code), 1, -1):
            if reason := _find(_CODES, code[:length]):
                return reason
    return None


def _find(table: Mapping[str, str], word: str) -> str | None:
    """Return the reason in whose words one is."""
    return next(
        (reason for reason, words in table.items() if word in words.split()), None
    )


def _by_type(error: BaseException) -> str | None:
    for type_, reason in _TYPES:
        if isinstance(error, type_):
            return reason
    module = type(error).__module__.partition(".")[0]
    if module == "sqlalchemy" and type(error).__name__ == "TimeoutError":
        return "too_many_connections"  # all of the pool are in use
    return _find(_NAMES, type(error).__name__)


def _by_text(error: BaseException) -> str | None:
    text = str(error).lower()
    return next((reason for part, reason in _TEXTS if part in text), None)

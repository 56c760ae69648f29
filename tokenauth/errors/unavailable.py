"""Why a store cannot answer, in words of a closed set.

For SQL, Redis and the counters of attempts alike. Drivers are not imported: their
errors are known by their names and codes. Their texts, which may hold a host, a row or
what was sent, are looked at and never passed on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from werkzeug.exceptions import ServiceUnavailable

from .base import RetryLaterError

ROLE_CHANGED: Final = frozenset(
    {"authentication", "loading", "no_primary", "read_only"}
)
"""Reasons for which a kept connection is not worth keeping: a new one may be led to
another server, or be let in."""

# What names a reason: the beginning of a code of PostgreSQL (SQLSTATE) or SQLite, the
# longest counts, or a class of errors, with its package where that matters.
_NAMES: Final = {
    "authentication": "28 AuthenticationError AuthenticationWrongNumberOfArgsError",
    "conflict": "40",
    "connection_lost": "08 57P01 57P02 builtins.ConnectionError",
    "corrupt": "SQLITE_CORRUPT SQLITE_NOTADB",
    "disk": "SQLITE_IOERR",
    "disk_full": "53100 SQLITE_FULL",
    "loading": "57P03 BusyLoadingError",
    "no_database": "3D000 SQLITE_CANTOPEN",
    "no_permission": "42501 SQLITE_PERM NoPermissionError PermissionError",
    "no_primary": "ClusterDownError MasterDownError MasterNotFoundError "
    "SlotNotCoveredError",
    "no_table": "42703 42P01",
    "out_of_memory": "53200 SQLITE_NOMEM OutOfMemoryError",
    "prepared_statement": "26000 42P05",
    "read_only": "25006 SQLITE_READONLY ReadOnlyError",
    "refused": "ConnectionRefusedError FileNotFoundError",  # a Unix socket's
    "timeout": "55P03 57014 SQLITE_BUSY SQLITE_LOCKED TimeoutError",
    "tls": "ssl.SSLError",
    "too_many_connections": "53300 MaxConnectionsError sqlalchemy.TimeoutError",
    "unknown_host": "gaierror",
}
_REASONS: Final = {
    name: reason for reason, names in _NAMES.items() for name in names.split()
}
# What has no name of its own, in the order in which it counts.
_TEXTS: Final = {
    "too_many_connections": "too many|connection slots|no more connections|"
    "max number of clients",
    "authentication": "noauth|wrongpass|authentication failed|no password supplied|"
    'pg_hba.conf|role "',
    "no_permission": "permission denied",
    "unknown_host": "could not translate host name|failed to resolve host|"
    "name or service not known",
    "refused": "connection refused|no such file",
    "unreachable": "unreachable|no route to host|cannot connect to server",
    "loading": "database system is",
    "read_only": "readonly",
    "disk": "misconf",
    "no_primary": "noreplicas|slots are not covered|ttl exhausted",  # of a cluster
    "out_of_memory": "oom command",
    "no_database": 'db index is out of range|no such database|database "',
    "no_table": "no such table",
    "startup_options": "unsupported startup parameter",  # of a connection pooler
    "timeout": "timeout|timed out",
    "connection_lost": "closed the connection|connection closed|connection reset",
    "tls": "certificate|ssl",
}
# What leads from an error to the one behind it, in the order in which it counts.
_BEHIND: Final = ("orig", "storage_error", "__cause__", "__context__")

REASONS: Final = frozenset({*_NAMES, *_TEXTS, "failed"})
"""Every reason there is: the `reason` of a `StoreUnavailableError`."""


class StoreUnavailableError(RetryLaterError, ServiceUnavailable):
    """The store of users or sessions cannot answer; nobody is let in.

    Args:
        retry_after: Seconds after which a retry makes sense.
        reason: Why, for the operator; the client is not told. Of what a driver raised,
            and of a text, only a word of `REASONS` is kept.
    """

    error_code = "store_unavailable"
    description = "The service cannot check this at the moment: try again shortly."

    def __init__(
        self, retry_after: int = 1, *, reason: str | BaseException | None = None
    ) -> None:
        super().__init__(retry_after)
        if isinstance(reason, BaseException):
            reason = reason_of(reason)
        is_known = reason is None or reason in REASONS
        self.reason = reason if is_known else "failed"


def reason_of(error: BaseException) -> str:
    """Return why a store cannot answer, one of `REASONS`: `failed` if nobody knows.

    Args:
        error: What a driver raised.
    """
    errors = list(_chain(error))
    for each in errors:
        for name in _names(each):
            if name in _REASONS:
                return _REASONS[name]
    for each in errors:
        # Not `str`, to which SQLAlchemy adds what a client sent.
        text = str(each.args).lower()
        for reason, words in _TEXTS.items():
            if any(word in text for word in words.split("|")):
                return reason
    return "failed"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those behind it: SQLAlchemy and redis wrap others."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        behind = (getattr(error, name, None) for name in _BEHIND)
        error = next((e for e in behind if isinstance(e, BaseException)), None)


def _names(error: BaseException) -> Iterator[str]:
    """Yield the names of an error in the order in which they count."""
    for attribute in ("sqlstate", "sqlite_errorname"):
        code = str(getattr(error, attribute, None) or "")
        yield from (code[:length] for length in range(len(code), 1, -1))
    for cls in type(error).__mro__:
        yield f"{cls.__module__.partition('.')[0]}.{cls.__name__}"
        yield cls.__name__

"""Why a store cannot answer, in words of a closed set.

For SQL, Redis and the counters of attempts alike. Drivers are not imported: their
errors are known by their names and codes. Their texts, which may hold a host, a row or
what was sent, are looked at and never passed on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from werkzeug.exceptions import ServiceUnavailable

from .base import RetryLaterError

ROLE_CHANGED: Final = frozenset(
    {"authentication", "loading", "no_primary", "read_only"}
)
"""Reasons for which a kept connection is not worth keeping: a new one may be led to
another server, or be let in."""

# What names a reason, in the order in which it counts: the start of
# a code of PostgreSQL (SQLSTATE) or SQLite, a class of errors, a part of their text.
_WORDS: Final = {
    "too_many_connections": "state:53300|maxconnectionserror|sqlalchemy.timeouterror|"
    "too many|connection slots|no more connections|max number of clients",
    "authentication": "state:28|authenticationerror|authenticationwrongnumberofargs|"
    'noauth|wrongpass|authentication failed|no password supplied|pg_hba.conf|role "',
    "no_permission": "state:42501|sqlite_perm|permissionerror|permission denied",
    "unknown_host": "gaierror|could not translate host name|failed to resolve host|"
    "name or service not known",
    "refused": "refusederror|filenotfounderror|connection refused|no such file",
    "unreachable": "unreachable|no route to host|cannot connect to server",
    "loading": "state:57p03|busyloadingerror|database system is",
    "disk_full": "state:53100|sqlite_full",
    "read_only": "state:25006|readonly",
    "disk": "sqlite_ioerr|misconf",
    "no_primary": "clusterdownerror|masterdownerror|masternotfounderror|noreplicas|"
    "slotnotcoverederror|slots are not covered|ttl exhausted",
    "out_of_memory": "state:53200|sqlite_nomem|outofmemoryerror|oom command",
    "corrupt": "sqlite_corrupt|sqlite_notadb",
    "prepared_statement": "state:26000|state:42p05",
    "no_database": "state:3d000|sqlite_cantopen|db index is out of range|"
    'no such database|database "',
    "no_table": "state:42703|state:42p01|no such table",
    "startup_options": "unsupported startup parameter",  # of a connection pooler
    "conflict": "state:40",
    "timeout": "state:55p03|state:57014|sqlite_busy|sqlite_locked|timeout|timed out",
    "connection_lost": "state:08|state:57p0[12]|builtins.connectionerror|"
    "closed the connection|connection closed|connection reset",
    "tls": r"certificate|\bssl",
}
# What leads from an error to the one behind it, in the order in which it counts.
_BEHIND: Final = ("orig", "storage_error", "__cause__", "__context__")

REASONS: Final = frozenset({*_WORDS, "failed"})
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
        self.add_note(f"Reason: {self.reason or 'unknown'}.")  # in tracebacks only


def reason_of(error: BaseException) -> str:
    """Return why a store cannot answer, one of `REASONS`: `failed` if nobody knows.

    Args:
        error: What a driver raised.
    """
    errors = list(_chain(error))
    # A text counts where no code does: it may have what a client sent.
    for read in (_names, _text):
        words = " ".join(map(read, errors)).lower()
        for reason, these in _WORDS.items():
            if re.search(these, words):
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


def _names(error: BaseException) -> str:
    names = [
        f"{c.__module__.partition('.')[0]}.{c.__name__}" for c in type(error).__mro__
    ]
    state = getattr(error, "sqlstate", None)
    code = getattr(error, "sqlite_errorname", None)
    return f"{names} state:{state} {code}"


def _text(error: BaseException) -> str:
    return str(error.args)  # not `str(error)`: SQLAlchemy adds all that was sent

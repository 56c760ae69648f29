"""What happened, as blinker signals: one for every security decision.

Connect to a signal the way Flask's own signals are used; the sender is the
application, and `event` is an `Event`:

    @tokenauth.events.refresh_reused.connect_via(app)
    def warn(app, event): ...

Each event is also one line of the logger `tokenauth`.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import msgspec
from blinker import NamedSignal, Namespace

LOGGER: Final = logging.getLogger("tokenauth")

_signals = Namespace()
login_succeeded: Final = _signals.signal("login-succeeded")
login_failed: Final = _signals.signal("login-failed")
attempts_limited: Final = _signals.signal("attempts-limited")
session_refreshed: Final = _signals.signal("session-refreshed")
refresh_reused: Final = _signals.signal("refresh-reused")
session_revoked: Final = _signals.signal("session-revoked")
password_changed: Final = _signals.signal("password-changed")
token_created: Final = _signals.signal("token-created")
token_redeemed: Final = _signals.signal("token-redeemed")
token_refused: Final = _signals.signal("token-refused")
store_failed: Final = _signals.signal("store-failed")

SIGNALS: Final = tuple(_signals.values())
"""All of them."""

# What an operator should look at; the rest is the normal course of things.
_WARNINGS: Final = frozenset({attempts_limited, refresh_reused, store_failed})
_WARNING_REASONS: Final = frozenset({"unsupported_hash"})  # no login can mend that

_MAX_VALUE_LENGTH: Final = 128
_MAX_LINE_LENGTH: Final = 1000


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One security decision: who, when, from where.

    It holds no secret but what somebody typed into the wrong field: an `account`
    without a `user_id` may be a password, and is not logged.

    Attributes:
        at: When, in seconds since the epoch (UTC).
        reason: Why, for the operator; the client is not told. One of a closed set of
            words, never text of a client's.
        cause: The operator's word for why a store failed, where it gave one.
        user_id: Whose account, as far as it is known.
        session_id: The session that it is about; None where it is about all that a
            user has.
        purpose: What a token was for: `refresh` or `once:<purpose>`; None: access.
        address: The client's network address.
        account: The username that was tried: folded, or as it was sent if it cannot
            be anybody's name.
    """

    at: float
    reason: str | None = None
    cause: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    purpose: str | None = None
    address: str | None = None
    account: str | None = None  # last: the longest, should the line have to be cut


class Emit(Protocol):
    """How the core announces an event, without knowing to which application."""

    def __call__(self, signal: NamedSignal, **details: str | None) -> None:
        """Send a signal with these fields of an `Event`."""


def send(signal: NamedSignal, sender: object, event: Event) -> None:
    """Log an event and hand it to the signal's receivers.

    A receiver that raises is logged and changes nothing: no decision depends on who
    listens.

    Args:
        signal: One of this module's signals.
        sender: The application.
        event: What happened.
    """
    is_warning = signal in _WARNINGS or event.reason in _WARNING_REASONS
    level = logging.WARNING if is_warning else logging.INFO
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, "%s", describe(signal, event))
    for receiver in signal.receivers_for(sender):
        try:
            receiver(sender, event=event)
        except Exception:
            LOGGER.exception("a receiver of %s failed", signal.name)


def describe(signal: NamedSignal, event: Event) -> str:
    """Return one line of plain ASCII; what a client sent is escaped and cut short.

    A name that is nobody's, as far as is known, is left out: people type their
    password into that field.
    """
    at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds")
    details: dict[str, Any] = msgspec.structs.asdict(event)
    if event.user_id is None:
        del details["account"]
    shown = (
        f"{name}={json.dumps(value[:_MAX_VALUE_LENGTH])}"
        for name, value in details.items()
        if isinstance(value, str)
    )
    line = " ".join([signal.name.replace("-", "_"), f"at={at}", *shown])
    return line[:_MAX_LINE_LENGTH]

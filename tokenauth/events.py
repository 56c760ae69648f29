"""Security decisions, as blinker signals.

Connect to a signal as to Flask's own signals; the sender is the application, and
`event` is an `Event`:

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
_signal = _signals.signal

login_succeeded: Final = _signal("login-succeeded", "A session was started.")
login_failed: Final = _signal("login-failed", "A login or password change was refused.")
attempts_limited: Final = _signal("attempts-limited", "Too many attempts, or uses.")
session_refreshed: Final = _signal("session-refreshed", "A refresh token was used.")
refresh_repeated: Final = _signal("refresh-repeated", "It was, again in the grace.")
refresh_reused: Final = _signal("refresh-reused", "An old one was used: it is stolen.")
session_revoked: Final = _signal("session-revoked", "A session was ended, or several.")
password_changed: Final = _signal("password-changed", "A password was changed or set.")
token_created: Final = _signal("token-created", "A personal access token was made.")
token_redeemed: Final = _signal("token-redeemed", "A one-time token was used.")
access_denied: Final = _signal("access-denied", "A user who is known was refused.")
token_refused: Final = _signal("token-refused", "A token was not accepted.")
store_failed: Final = _signal("store-failed", "A store could not answer.")
user_added: Final = _signal("user-added", "An operator added a user.")
user_disabled: Final = _signal("user-disabled", "An operator disabled a user.")
user_enabled: Final = _signal("user-enabled", "An operator enabled a user.")
user_removed: Final = _signal("user-removed", "An operator removed a user.")
user_renamed: Final = _signal("user-renamed", "An operator renamed a user.")
user_scopes_set: Final = _signal("user-scopes-set", "An operator set a user's scopes.")

SIGNALS: Final = tuple(_signals.values())
"""All of them; the page on events says when each is sent, and with which reasons."""

# What an operator should look at; the rest is the normal course of things.
_WARNINGS: Final = (attempts_limited, refresh_reused, store_failed)
_WARN_OF: Final = ("unsupported_hash", "unknown_id", "other_network", "store_set_back")

_MAX_VALUE_LENGTH: Final = 128
_MAX_LINE_LENGTH: Final = 1000


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One security decision: when, why, about whom, from where.

    It holds no secret but what somebody typed into the wrong field: an `account`
    without a `user_id` may be a password, and is not logged.

    Attributes:
        at: When it was made, in seconds since the epoch (UTC).
        reason: Why, for the operator; the client is not told. One of a closed set for
            each signal, never a text of a client.
        store: The store that failed: `users`, `sessions`, `attempts` (the counters of
            password attempts) or `breach_check`.
        cause: Why the store failed, where that is known: one of the words of
            `StoreUnavailableError`.
        user_id: The user, where one is known.
        session_id: The session; None where the event is about all that a user has.
        purpose: What a token was used for: `refresh`, `once:<purpose>`, or an endpoint
            that is limited, `tokens` or `introspect`; None for access.
        address: The client's network address; None outside a request.
        account: The username that was tried: folded, or as it was sent if no user can
            have it.
    """

    at: float
    reason: str | None = None
    store: str | None = None
    cause: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    purpose: str | None = None
    address: str | None = None
    account: str | None = None  # last: the longest, should the line have to be cut


class Emit(Protocol):
    """Announces an event to the receivers of one application."""

    def __call__(self, signal: NamedSignal, **details: str | None) -> None:
        """Send a signal with these fields of an `Event`."""


def send(signal: NamedSignal, sender: object, event: Event) -> None:
    """Log an event and call the signal's receivers.

    A receiver that raises is logged and changes nothing: no decision depends on who
    listens.

    Args:
        signal: One of the signals above.
        sender: The application.
        event: What happened.
    """
    is_warning = signal in _WARNINGS or event.reason in _WARN_OF
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

    A username that no known user has is left out: people type their password into
    that field.

    Args:
        signal: One of the signals above.
        event: What happened.
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

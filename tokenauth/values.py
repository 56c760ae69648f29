"""Values of the configuration: each read by its kind, or refused by its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, cast

from .errors import UNQUOTABLE, ConfigurationError

_MAX_DURATION: Final = 100 * 365 * 86400

# RFC 3986 section 2.3; "<" would begin a variable of Werkzeug's.
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+", re.ASCII)


class Reader:
    """Reads one `TOKENAUTH_*` value at a time, or refuses it by name.

    Every method raises `ConfigurationError`; a value that is absent or None is the
    default.

    Args:
        config: Flask's configuration.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config

    def _get(self, name: str, default: Any) -> tuple[str, Any]:
        key = f"TOKENAUTH_{name}"
        value = self._config.get(key)
        return key, default if value is None else value

    def duration(self, name: str, default: float) -> float:
        """Seconds, zero allowed."""
        key, value = self._get(name, default)
        if isinstance(value, timedelta):
            value = value.total_seconds()
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigurationError(
                f"{key} must be a number of seconds or a timedelta, not "
                f"{type(value).__name__}."
            )
        if not 0 <= value <= _MAX_DURATION:  # nor is NaN
            raise ConfigurationError(
                f"{key} must be a finite number of seconds, not negative and at most "
                f"{_MAX_DURATION} (100 years)."
            )
        return value

    def lifetime(self, name: str, default: float) -> float:
        """Seconds, at least one."""
        value = self.duration(name, default)
        if value < 1:
            raise ConfigurationError(f"TOKENAUTH_{name} must be at least one second.")
        return value

    def count(self, name: str, default: int, *, at_least: int = 1) -> int:
        """A whole number."""
        key, value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
            raise ConfigurationError(
                f"{key} must be a whole number, at least {at_least}."
            )
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """True or False, and nothing that only reads like it."""
        key, value = self._get(name, default)
        if not isinstance(value, bool):
            raise ConfigurationError(
                f"{key} must be True or False (in the environment: true or false)."
            )
        return value

    def text(self, name: str, default: str) -> str:
        """A text that is not empty."""
        key, value = self._get(name, default)
        if not isinstance(value, str) or not value.strip():
            raise ConfigurationError(f"{key} must be a text that is not empty.")
        return value

    def texts(self, name: str, default: str) -> str:
        """A text that is not empty, or a list of them, joined by semicolons."""
        key, value = self._get(name, default)
        parts = value if isinstance(value, list | tuple) else [value]
        if not parts or not all(isinstance(p, str) and p.strip() for p in parts):
            raise ConfigurationError(f"{key} must be a text, or a list of texts.")
        return ";".join(parts)

    def function(self, name: str) -> Callable[[str], bool] | None:
        """A function of one text that says yes or no, or None."""
        key, value = self._get(name, None)
        if value is not None and not callable(value):
            raise ConfigurationError(
                f"{key} must be a function that takes a password and returns whether "
                f"it is known from a breach, not {type(value).__name__}."
            )
        return cast("Callable[[str], bool] | None", value)

    def path(self, name: str, default: str) -> str:
        """A URL prefix: one leading slash, none at the end."""
        value = self.text(name, default)
        if not _PATH.fullmatch(value):
            raise ConfigurationError(
                f"TOKENAUTH_{name} must be a path of letters, digits and '-._~' that "
                "begins with one '/' and does not end with one, for example '/auth'."
            )
        return value

    def realm(self, name: str, default: str) -> str:
        """A text that can be quoted in a challenge (RFC 6750 section 3)."""
        value = self.text(name, default)
        if UNQUOTABLE.search(value):
            raise ConfigurationError(
                f"TOKENAUTH_{name} must be printable ASCII without quotes and "
                "backslashes: it is sent in the WWW-Authenticate header."
            )
        return value

    def optional_text(self, name: str) -> str | None:
        """A text that is not empty, or None."""
        _, value = self._get(name, None)
        return None if value is None else self.text(name, "")

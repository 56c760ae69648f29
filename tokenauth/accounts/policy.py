"""What a new password must satisfy: long enough, and not what is guessed first.

There are no composition rules (ASVS 6.2.5). The only room that knows zxcvbn.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable

import msgspec

from ..errors import PasswordRefusedError, StoreUnavailableError
from ..events import LOGGER
from ..tokens.redact import Redacted

# Shorter ones are in many good passwords by chance; that of an application is often
# "app".
_MIN_USERNAME_LENGTH = 3
_MIN_REALM_LENGTH = 5

_MIN_KEY_GUESSES = 19  # a power of ten; about 64 bits


class PasswordPolicy(Redacted, msgspec.Struct, frozen=True):
    """What a new password must satisfy.

    Args:
        min_length: Fewest characters (code points).
        max_length: Most bytes in UTF-8.
        is_breached: Says whether a password is known from a breach.
        realm: The application's name, which is guessed first, too (ASVS 6.2.11).
    """

    min_length: int = 8
    max_length: int = 1024
    is_breached: Callable[[str], bool] | None = None
    realm: str = ""

    def check(self, password: str, account: str = "") -> None:
        """Return if a new password may be used.

        Args:
            password: The new password.
            account: The folded username of whoever wants to use it.

        Raises:
            PasswordRefusedError: it may not; the error names the rule.
            StoreUnavailableError: the breach check failed, so nobody can tell.
        """
        self._check_length(password)
        if _without(account, password, _MIN_USERNAME_LENGTH) < self.min_length:
            raise PasswordRefusedError(
                "username",
                f"Use at least {self.min_length} characters besides the username.",
            )
        realm = self.realm.casefold()
        if _without(realm, password, _MIN_REALM_LENGTH) < self.min_length:
            raise PasswordRefusedError(
                "common",
                f"Use at least {self.min_length} characters besides the application's "
                "name.",
            )
        if password.casefold() in _common_passwords():
            raise PasswordRefusedError(
                "common", "This password is one of the first that are guessed."
            )
        if self.is_breached is not None and self._ask(self.is_breached, password):
            raise PasswordRefusedError(
                "breached", "This password is known from a breach of another service."
            )

    def _check_length(self, password: str) -> None:
        if len(password) < self.min_length:
            raise PasswordRefusedError(
                "too_short", f"Use at least {self.min_length} characters."
            )
        if len(password.encode(errors="surrogatepass")) > self.max_length:
            raise PasswordRefusedError(
                "too_long", f"Use at most {self.max_length} bytes."
            )

    def _ask(self, is_breached: Callable[[str], bool], password: str) -> bool:
        try:
            return is_breached(password)
        except Exception as error:  # noqa: BLE001 # whatever it is, nobody can tell
            # Only its type: its message may hold the password.
            LOGGER.error(  # no traceback, for the same reason
                "TOKENAUTH_PASSWORD_BREACH_CHECK failed: %s", type(error).__name__
            )
        raise StoreUnavailableError


def _without(word: str, password: str, shortest: int) -> int:
    """Return how many characters a password has besides a word that is not short."""
    folded = unicodedata.normalize("NFKC", password).casefold()
    if folded == word:
        return 0
    if len(word) >= shortest and word in folded:
        return len(folded.replace(word, ""))
    return len(password)


def is_guessable_key(key: bytes) -> bool:
    """Return whether a secret key has few guesses: repeats, sequences, keyboard rows.

    Takes up to 30 ms. Random keys are far above the limit, in digits as well.
    """
    from zxcvbn import zxcvbn

    guesses: float = zxcvbn(key[:72].decode("latin-1"))["guesses_log10"]
    return guesses < _MIN_KEY_GUESSES


@functools.cache
def _common_passwords() -> frozenset[str]:
    # Imported when the first password is changed: 13 MB, of which few need anything.
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(FREQUENCY_LISTS["passwords"])

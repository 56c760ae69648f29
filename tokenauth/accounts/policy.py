"""What a new password must satisfy: long enough, and not one of the first guesses.

There are no composition rules (ASVS 6.2.5): "Password1!" satisfies any of them and is
guessed early. zxcvbn estimates instead how many guesses come before a password: common
passwords with their usual changes, names, dates, rows of keys, repetitions.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from ..errors import PasswordRefusedError, StoreUnavailableError
from ..events import LOGGER

# Below this a password is refused. An attacker who is held to 100 attempts a day needs
# 27 years for a million; all of the usual lists are shorter.
_FEWEST_GUESSES: Final = 1_000_000

# Only so many characters are judged: what is hard to guess in its beginning is as a
# whole. zxcvbn takes 1 ms for a usual password and a quarter of a second for one of
# this size that is made to be slow; twice the size takes seconds.
_JUDGED_LENGTH: Final = 16

_FEWEST_KEY_GUESSES: Final = 10**19  # about 64 bits

# Shorter names are ignored: many good passwords contain "ann" or "app" by chance.
_SHORTEST_USERNAME: Final = 3
_SHORTEST_REALM: Final = 5

_COMMON: Final = (
    "This password is one of the first that are guessed: use more than a common word, "
    "a name, a date or a row of keys."
)


class PasswordPolicy(msgspec.Struct, frozen=True):
    """What a new password must satisfy.

    Args:
        min_length: Fewest characters (code points).
        max_length: Most bytes in UTF-8.
        is_breached: Returns whether a password is known from a breach.
        realm: The application's name, which is guessed first, too (ASVS 6.2.11).

    Example:
        >>> PasswordPolicy(min_length=12).check("short one")
        Traceback (most recent call last):
            ...
        tokenauth.errors.PasswordRefusedError: ... Use at least 12 characters.
    """

    min_length: int = 8
    max_length: int = 1024
    is_breached: Callable[[str], bool] | None = None
    realm: str = ""

    def check(self, password: str, account: str = "") -> None:
        """Return if a new password may be used.

        Args:
            password: The new password.
            account: The username of the user who wants to use it.

        Raises:
            PasswordRefusedError: it may not; the error names the rule.
            StoreUnavailableError: the breach check failed, so nobody can tell.
        """
        if objection := next(self._objections(password, account), None):
            raise PasswordRefusedError(*objection)

    def _objections(self, password: str, account: str) -> Iterator[tuple[str, str]]:
        """Yield which rules a password breaks, in words as well; slow ones last."""
        least = f"Use at least {self.min_length} characters"
        if len(password) < self.min_length:
            yield "too_short", f"{least}."
        if len(password.encode(errors="surrogatepass")) > self.max_length:
            yield "too_long", f"Use at most {self.max_length} bytes."
        folded = unicodedata.normalize("NFKC", password).casefold()
        local_part = account.partition("@")[0]  # of an e-mail address
        for rule, name, word, shortest in (
            ("username", "username", account, _SHORTEST_USERNAME),
            ("username", "username", local_part, _SHORTEST_USERNAME),
            ("common", "application's name", self.realm.casefold(), _SHORTEST_REALM),
        ):
            rest = folded.replace(word, "") if len(word) >= shortest else folded
            if rest != folded and len(rest) < self.min_length:
                yield rule, f"{least} besides the {name}."
        if _is_common(password):
            yield "common", _COMMON
        if self.is_breached is not None and self._ask(self.is_breached, password):
            yield "breached", "This password is known from a breach of another service."

    def _ask(self, is_breached: Callable[[str], bool], password: str) -> bool:
        try:
            return is_breached(password)
        except Exception as error:  # noqa: BLE001 # whatever it is, nobody can tell
            # Only its type: its message may hold the password.
            LOGGER.error(  # no traceback, for the same reason
                "TOKENAUTH_PASSWORD_BREACH_CHECK failed: %s", type(error).__name__
            )
        raise StoreUnavailableError


def is_guessable_key(key: bytes) -> bool:
    """Return whether a secret key has few guesses: repeats, sequences, keyboard rows.

    Takes up to 30 ms. Random keys are far above the limit, in digits as well.
    """
    return _guesses(key[:72].decode("latin-1")) < _FEWEST_KEY_GUESSES


def _is_common(password: str) -> bool:
    from zxcvbn.matching import RANKED_DICTIONARIES

    # Some of the common passwords are longer than what is judged.
    is_listed = password.casefold() in RANKED_DICTIONARIES["passwords"]
    return is_listed or _guesses(password[:_JUDGED_LENGTH]) < _FEWEST_GUESSES


def _guesses(text: str) -> float:
    """Return about how many guesses come before a text."""
    # Imported when the first password is changed: it takes 13 MB. Not its `zxcvbn`,
    # which writes to a dict that other threads may be reading.
    from zxcvbn.matching import omnimatch
    from zxcvbn.scoring import most_guessable_match_sequence

    guesses: float = most_guessable_match_sequence(text, omnimatch(text))["guesses"]
    return guesses

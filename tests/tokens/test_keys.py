"""Secret keys: which of them can be guessed."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable

import pytest

from tokenauth.accounts.policy import is_guessable_key
from tokenauth.tokens.keys import is_guessable

# As they are found in public repositories.
PLACEHOLDERS = [
    "your-secret-key-change-in-production",
    "my-super-secret-key-for-my-flask-app",
    "a-very-secret-key-that-you-should-change",
    "your_secret_key_change_this_in_production",
    "dev-secret-key-change-in-production",
    "dev-key-please-change-in-production",
    "local-development-only-change-me",
    "change-me-please-use-a-32-char-secret",
    "dev-secret-change-me-please-0123456789",
    "this_is_a_very_secret_key_for_jwt_token",
    "thisisaverysecretkeyforflaskapplication",
    "SuperSecretKeyThatShouldBeChangedInProduction",
    "replace-this-with-a-long-random-string",
    "<insert your secret key here, please!>",
    "insecure-development-key-do-not-use-in-prod",
    "you-will-never-guess-this-secret-key",
    "a-string-secret-at-least-256-bits-long",
]
PATTERNS = [
    "x" * 64,
    "a" * 16 + "b" * 16,
    "abcd" * 8,
    "abcd" * 8 + "abc",
    "0123456789abcdef" * 3,
    "password" * 4 + "1",
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "k4f9" * 9,
    "\x00" * 32,
    "".join(map(chr, range(64))),
    "k4f9Qz1xW7m" * 3,
    "k4f9Qz1xW7mJ2pLs" * 2,
]


@pytest.mark.parametrize("key", [*PLACEHOLDERS, *PATTERNS])
def test_placeholder_or_pattern_is_guessable(key: str) -> None:
    """Whatever its length."""
    assert is_guessable(key.encode())


@pytest.mark.parametrize(
    "key",
    [
        "test-key-9f1c7ae25d08b34e6a19c2f7705be8d3",
        "my-secret-key-9f1c7ae25d08b34e",
        "wrought lantern oblong pickle fathom quiver",
    ],
)
def test_words_before_a_random_part_are_allowed(key: str) -> None:
    """16 random characters are enough beside them."""
    assert not is_guessable(key.encode())


def digits() -> bytes:
    return bytes(random.choices(b"0123456789", k=32))


RANDOM: dict[str, Callable[[], bytes]] = {
    "bytes": lambda: secrets.token_bytes(32),
    "hex": lambda: secrets.token_hex(16).encode(),
    "base64": lambda: secrets.token_urlsafe(24).encode(),
    "digits": digits,
}


@pytest.mark.parametrize("make", RANDOM.values(), ids=RANDOM)
def test_random_key_is_not_guessable(make: Callable[[], bytes]) -> None:
    """Of the minimum length, as people make them."""
    assert not any(is_guessable(make()) for _ in range(300))
    assert not any(is_guessable_key(make()) for _ in range(20))


@pytest.mark.parametrize(
    "key", ["qwertyuiopasdfghjklzxcvbnm1234567890", *PATTERNS[1:6]]
)
def test_check_finds_regular_keys(key: str) -> None:
    """Keyboard rows as well, which the start does not know."""
    assert is_guessable_key(key.encode())


def test_check_reads_keys_of_any_bytes_and_length() -> None:
    """Not all of a long key is looked at: time grows with the cube of the length."""
    assert not is_guessable_key(secrets.token_bytes(100_000))

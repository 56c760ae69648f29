"""Secret keys: where they are read, and which are refused as no secret."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Final

from ..errors import ConfigurationError

MIN_KEY_BYTES: Final = 32
"""Shortest secret key: as long as the hash's output (RFC 7518 section 3.2)."""

_ENOUGH_BITS: Final = 64

# Keys printed in documentation or shipped as defaults: public, so no secret.
_EXAMPLES: Final = frozenset(
    {
        b"192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
        b"pf9Wkove4IKEAXvy-cQkeDPhv9Cb3Ag-wyJILbq_dFw",
        b"c292a0a3aa32397cdb050e233733900f",
        b"YOUR_OWN_RANDOM_GENERATED_SECRET_KEY",
        b"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
        b"your-256-bit-secret-your-256-bit-secret",
        b"a-string-secret-at-least-256-bits-long",
        b"the quick brown fox jumps over the lazy dog",
    }
)
_PLACEHOLDER: Final = re.compile(
    rb"change.?(?:me|this)|django-insecure-", re.IGNORECASE
)
_NEW_KEY: Final = "Make one with 'flask tokenauth new-secret'."


def secret_keys(config: Mapping[str, Any]) -> tuple[bytes, ...]:
    """Return the secrets of an application, oldest first, as itsdangerous wants them.

    Args:
        config: Flask's configuration.

    Raises:
        ConfigurationError: a key is missing, or anybody could guess it. The message
            names the setting and the cure, and quotes nothing.
    """
    prefix = "TOKENAUTH_" if config.get("TOKENAUTH_SECRET_KEY") is not None else ""
    newest = _secret_key(f"{prefix}SECRET_KEY", config.get(f"{prefix}SECRET_KEY"))
    name = "TOKENAUTH_SECRET_KEY_FALLBACKS"
    if config.get(name) is None:
        name = f"{prefix}SECRET_KEY_FALLBACKS"
    fallbacks = config.get(name)
    if fallbacks is None:
        fallbacks = []
    if not isinstance(fallbacks, list | tuple):
        raise ConfigurationError(
            f"{name} must be a list of keys, oldest first, not "
            f"{type(fallbacks).__name__}."
        )
    older = (_secret_key(f"{name}[{i}]", key) for i, key in enumerate(fallbacks))
    return (*older, newest)


def looks_guessable(key: bytes) -> bool:
    """Whether a key is too regular to be a random one; of words this cannot tell."""
    return _apparent_bits(key.strip()) < _ENOUGH_BITS


def _apparent_bits(key: bytes) -> float:
    """Return how many bits of chance a key shows: an upper bound, as words show many.

    What repeats itself counts once, and what goes up by even steps counts as a repeat.
    A key of 32 random characters shows more than 64; one in 50,000 of digits alone does
    not, and has to be made anew.
    """
    steps = [(after - before) % 256 for before, after in itertools.pairwise(key)]
    new_parts = {key[i : i + 3] for i in range(len(key) - 2)}
    return min(_entropy(key), _entropy(steps)) * len(new_parts)


def _entropy(values: Collection[int]) -> float:
    """Return Shannon's entropy of a value, in bits."""
    shares = [count / len(values) for count in Counter(values).values()]
    return -sum(share * math.log2(share) for share in shares)


def _secret_key(name: str, key: object) -> bytes:
    if key is None:
        raise ConfigurationError(f"{name} is not set. {_NEW_KEY}")
    if not isinstance(key, str | bytes):
        raise ConfigurationError(
            f"{name} must be text or bytes, not {type(key).__name__}. {_NEW_KEY}"
        )
    raw = key.encode(errors="surrogatepass") if isinstance(key, str) else key
    if not raw.strip():
        raise ConfigurationError(f"{name} is empty. {_NEW_KEY}")
    if len(raw) < MIN_KEY_BYTES:
        raise ConfigurationError(
            f"{name} has {len(raw)} bytes; at least {MIN_KEY_BYTES} are needed. "
            f"{_NEW_KEY}"
        )
    if len(set(key.strip())) == 1:
        raise ConfigurationError(f"{name} is one character repeated. {_NEW_KEY}")
    if raw.strip() in _EXAMPLES or _PLACEHOLDER.search(raw):
        raise ConfigurationError(f"{name} is a published example key. {_NEW_KEY}")
    return raw

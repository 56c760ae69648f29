"""Secret keys: where they are read from, and which are refused."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any, Final

from ..errors import ConfigurationError

MIN_KEY_BYTES: Final = 32
"""Minimum length of a secret key: the output of the hash (RFC 7518 section 3.2)."""

# Keys printed in documentation and tutorials, or shipped as defaults; those of pairs.
_EXAMPLES: Final = frozenset(
    {
        b"192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
        b"pf9Wkove4IKEAXvy-cQkeDPhv9Cb3Ag-wyJILbq_dFw",
        b"5791628bb0b13ce0c676dfde280ba245",
        b"c292a0a3aa32397cdb050e233733900f",
        b"YOUR_OWN_RANDOM_GENERATED_SECRET_KEY",
        b"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
        b"the quick brown fox jumps over the lazy dog",
    }
)
_PUBLISHED: Final = re.compile(
    rb"change.?(?:me|this)|django-insecure-|^ed25519-|^-----BEGIN ", re.IGNORECASE
)

# A placeholder consists of these words: "my-super-secret-key-for-my-flask-app". What is
# left of a good key is long, also where a word comes before it or occurs by chance.
_WORDS: Final = (
    "access again api app application at auth backend base be before bit bits bytes "
    "change char characters chars client complex config cookie default demo deploy "
    "deployment dev development django do dummy env environment example fake "
    "fastapi flask for from generate generated guess hard hash here hex hs256 in "
    "insecure insert is it jwt key keys least like local long me minimum more must "
    "my never new not of one only or our pass password placeholder please prod "
    "production project random real really replace safe sample secret secrets "
    "secure server session should signing site some something string strong super "
    "temp temporary test testing than that the this to token top use used user "
    "value very web website will with you your"
)
_PLACEHOLDER: Final = re.compile(
    b"[ _.,:;!?/<>-]|" + "|".join(sorted(_WORDS.split(), reverse=True)).encode(),
    re.IGNORECASE,
)
_MIN_UNKNOWN_BYTES: Final = 16
_MIN_STEPS: Final = 5  # different ones, from byte to byte; 32 random digits have 10

_NEW_KEY: Final = "Make one with 'flask tokenauth new-secret'."


def secret_keys(config: Mapping[str, Any]) -> tuple[bytes, ...]:
    """Return the secrets of an application, oldest first, as itsdangerous wants them.

    Raises:
        ConfigurationError: a key is missing or can be guessed. The message names the
            setting and the cure, and quotes nothing.
    """
    prefix = "TOKENAUTH_" if config.get("TOKENAUTH_SECRET_KEY") is not None else ""
    named = {f"{prefix}SECRET_KEY": config.get(f"{prefix}SECRET_KEY")}
    name = "TOKENAUTH_SECRET_KEY_FALLBACKS"
    if config.get(name) is None:
        name = f"{prefix}SECRET_KEY_FALLBACKS"
    older = config.get(name)
    named = numbered(name, () if older is None else older, "oldest first") | named
    keys = {name: _to_bytes(name, key) for name, key in named.items()}
    for name, key in keys.items():
        if key in _EXAMPLES or _PUBLISHED.search(key):
            raise ConfigurationError(f"{name} is a published example key. {_NEW_KEY}")
        if is_guessable(key) and not config.get("TESTING"):
            raise ConfigurationError(
                f"{name} can be guessed: it is a placeholder or a pattern. {_NEW_KEY}"
            )
    return tuple(keys.values())


def numbered(name: str, given: object, hint: str) -> dict[str, object]:
    """Return the keys of a list by the names that messages give them.

    Raises:
        ConfigurationError: it is no list.
    """
    if not isinstance(given, list | tuple):
        text = f"{name} must be a list of keys ({hint})."
        if name.isupper():
            text += f" In the environment it is JSON: FLASK_{name}='[\"...\"]'."
        raise ConfigurationError(text)
    return {f"{name}[{i}]": key for i, key in enumerate(given)}


def is_guessable(key: bytes) -> bool:
    """Return whether a key is one text repeated, a sequence, or a placeholder."""
    start = key[:1024]
    periods = range(1, len(start) // 2 + 1)
    is_repeated = any(start[period:] == start[:-period] for period in periods)
    steps = {after - before for before, after in itertools.pairwise(start)}
    unknown = _PLACEHOLDER.sub(b"", key)
    return is_repeated or len(steps) < _MIN_STEPS or len(unknown) < _MIN_UNKNOWN_BYTES


def _to_bytes(name: str, key: object) -> bytes:
    if key is None:
        raise ConfigurationError(f"{name} is not set in app.config yet. {_NEW_KEY}")
    if not isinstance(key, str | bytes):
        raise ConfigurationError(
            f"{name} must be text or bytes, not {type(key).__name__}. {_NEW_KEY}"
        )
    raw = key.encode(errors="surrogatepass") if isinstance(key, str) else key
    if not raw.strip():
        raise ConfigurationError(f"{name} is empty. {_NEW_KEY}")
    # Random bytes may end in a line end by chance, but are not all ASCII then.
    if key != key.strip() and (isinstance(key, str) or key.isascii()):
        raise ConfigurationError(
            f"{name} begins or ends with white space, for example the line end of a "
            "file: remove it, because a host that reads the key without it refuses the "
            "tokens of this one. 'flask tokenauth new-secret' prints keys without."
        )
    if len(raw) < MIN_KEY_BYTES:
        raise ConfigurationError(
            f"{name} has {len(raw)} bytes; at least {MIN_KEY_BYTES} are needed. "
            f"{_cure(name)}"
        )
    return raw


def _cure(name: str) -> str:
    """Say how to get longer keys for tokens while the cookies stay valid."""
    name = name.partition("[")[0]
    if name.startswith("TOKENAUTH_"):
        return _NEW_KEY
    return (
        f"{_NEW_KEY} If {name} must stay, so that the application's cookies stay "
        f"valid, set TOKENAUTH_{name} beside it: tokens go by that alone."
    )

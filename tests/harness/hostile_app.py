"""An application to throw bytes at, as a server runs it: nothing of testing is on."""

from __future__ import annotations

from flask import Flask

from tests.harness.kit import PASSWORDS, make_app, password_hash
from tokenauth import DictUserStore, User

# Argon2id that would fill 4 GiB, or run for hours; scrypt that would fill 32 GiB.
_SALT_AND_DIGEST = "c29tZXNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng"
GREEDY_HASHES = {
    "much-memory": f"$argon2id$v=19$m=4194304,t=1,p=1${_SALT_AND_DIGEST}",
    "many-passes": f"$argon2id$v=19$m=65536,t=99999,p=1${_SALT_AND_DIGEST}",
    "scrypt": "scrypt:16777216:16:1$salt$" + "0" * 128,
    "pbkdf2": "pbkdf2:sha256:999999999$salt$" + "0" * 64,
    "garbage": "$argon2id$v=19$m=\ud800,t=,p=\x00$$",
    "empty": "",
}


def create_app() -> Flask:
    """Return the kit's application, with users whose stored hashes are hostile."""
    greedy = {name: User(name) for name in GREEDY_HASHES}
    entries = {
        name: User(name, password_hash(name), id=f"u-{name}") for name in PASSWORDS
    }
    users = DictUserStore(entries | greedy)
    for name, stored in GREEDY_HASHES.items():
        greedy[name].password_hash = stored  # as a damaged table would hold it
    config = {"TESTING": False, "TOKENAUTH_LOGIN_LIMITS": "1000000 per minute"}
    return make_app(users=users, config=config)

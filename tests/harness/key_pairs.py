"""Applications that sign with a key pair, and services that verify with the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask
from flask_login import current_user, fresh_login_required, login_required

from tests.harness.kit import Clock, make_app
from tokenauth import TokenVerifier, current_claims, require_scopes, token_required
from tokenauth import fresh_login_required as recent
from tokenauth.tokens import ed25519

# RFC 8032 section 7.1: private key, public key, message, signature.
RFC_8032 = [
    tuple(map(bytes.fromhex, line.split(",")))
    for line in """\
9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60,\
d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a,,\
e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b
4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb,\
3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c,72,\
92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00
c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7,\
fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025,af82,\
6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a""".splitlines()
]
OLD, NEW = ed25519.new_private(), ed25519.new_private()


def private_line(private: bytes = OLD) -> str:
    return ed25519.format_key(ed25519.PRIVATE, private)


def public_line(private: bytes = OLD) -> str:
    return ed25519.format_key(ed25519.PUBLIC, ed25519.public_of(private))


def make_issuer(private: bytes = OLD, *older: bytes, **given: Any) -> Flask:
    """Return the usual application, which signs with a private key."""
    config = {
        "TOKENAUTH_SIGNING_KEY": private_line(private),
        "TOKENAUTH_SIGNING_KEY_FALLBACKS": [public_line(key) for key in older],
    }
    return make_app(**{**given, "config": config | given.get("config", {})})


def make_service(
    keys: Any = None, *, clock: Clock | None = None, config: Mapping[str, Any] = {}
) -> Flask:
    """Return a service that verifies; without a secret, users and endpoints."""
    app = Flask("service")
    app.config.update(
        TESTING=True,
        TOKENAUTH_VERIFY_KEYS=[public_line()] if keys is None else keys,
        TOKENAUTH_REALM="app",
    )
    app.config.update(config)
    auth = TokenVerifier()
    auth.init_app(app)
    app.extensions["tokenauth"].clock.source = clock or Clock()
    add_views(app)
    return app


def add_views(app: Flask) -> None:
    """Add one view for each guard, all of which tell the user."""

    def view() -> dict[str, Any]:
        scopes = sorted(current_claims.scopes) if current_claims else None
        return {"user": current_user.get_id(), "scopes": scopes}

    guards = {
        "login": login_required,
        "token": token_required,
        "scope": require_scopes("reports:read"),
        "recent": recent,
        "flask-login-fresh": lambda view: login_required(fresh_login_required(view)),
        "open": lambda view: view,
    }
    for name, guard in guards.items():
        app.add_url_rule(f"/{name}", name, guard(view))

"""Tokens that are signed with a key pair: verified the first time, and remembered."""

from __future__ import annotations

import itertools
import sys
from time import time
from typing import Any

import jwt
import pyseto
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from flask import Flask
from flask_jwt_extended import JWTManager, create_access_token, jwt_required
from flask_login import login_required
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import OKPKey

from tests.benchmarks import micro
from tests.benchmarks.apps import LIFETIME, PATH, SECRET, Page
from tests.benchmarks.measure import Bar, Group, take_turns
from tests.benchmarks.request import caller
from tokenauth import DictUserStore, TokenAuth, TokenVerifier, User
from tokenauth.tokens import Claims, ed25519
from tokenauth.tokens.key_set import KeySet
from tokenauth.tokens.signing import MAX_REMEMBERED, KeyPairSigner

SEED = ed25519.new_private()
PUBLIC = ed25519.public_of(SEED)
LIBRARY, HMAC = "cryptography's verify alone", "tokenauth, HMAC"
FIRST, AGAIN = "tokenauth, first time", "tokenauth, remembered"
JWT_EDDSA, JWT_RS256 = "Flask-JWT-Extended, EdDSA", "Flask-JWT-Extended, RS256"
ISSUER, SERVICE = "tokenauth, the issuer", "tokenauth, a service"


def _pem(private: Any) -> tuple[bytes, bytes]:
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = private.public_key()
    return private.private_bytes(*form), public.public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )


KEY = Ed25519PrivateKey.from_private_bytes(SEED)
PRIVATE_PEM, PUBLIC_PEM = _pem(KEY)
PEMS = {
    "EdDSA": (PRIVATE_PEM, PUBLIC_PEM),
    "RS256": _pem(rsa.generate_private_key(65537, 2048)),
}


def _claims(number: int = 0) -> Claims:
    now = int(time())
    return Claims(
        f"u-{number:05}", micro.SESSION_ID, now, now + LIFETIME, now, frozenset()
    )


def _signer() -> KeyPairSigner[Claims]:
    return KeyPairSigner(
        KeySet((PUBLIC,)), SEED, purpose="access", realm="app", claims_type=Claims
    )


def _pages() -> dict[str, Page]:
    """Return pages that all take a token of the same user."""
    issuer, service = Flask("app"), Flask("service")
    issuer.config.update(
        SECRET_KEY=SECRET,
        TOKENAUTH_SIGNING_KEY=ed25519.format_key(ed25519.PRIVATE, SEED),
    )
    auth, user = TokenAuth(), User("u-12345")
    auth.init_app(issuer, DictUserStore({"u-12345": user}))
    with issuer.test_request_context():
        token = auth.login(user).access_token
    service.config.update(
        TOKENAUTH_REALM="app",
        TOKENAUTH_VERIFY_KEYS=[ed25519.format_key(ed25519.PUBLIC, PUBLIC)],
    )
    TokenVerifier(service)
    headers = {"Authorization": f"Bearer {token}"}
    found = {}
    for name, app in ((ISSUER, issuer), (SERVICE, service)):
        app.get(PATH)(login_required(lambda: "in"))
        found[name] = Page(app=app, headers=headers)
    for name, algorithm in ((JWT_EDDSA, "EdDSA"), (JWT_RS256, "RS256")):
        found[name] = _jwt_page(algorithm)
    return found


def _jwt_page(algorithm: str) -> Page:
    app = Flask(algorithm)
    private, public = PEMS[algorithm]
    app.config.update(
        JWT_ALGORITHM=algorithm,
        JWT_PRIVATE_KEY=private,
        JWT_PUBLIC_KEY=public,
    )
    JWTManager(app)
    app.get(PATH)(jwt_required()(lambda: "in"))
    with app.app_context():
        token = create_access_token("u-12345")
    return Page(app=app, headers={"Authorization": f"Bearer {token}"})


def memo_bytes() -> float:
    """Return the bytes that a full memo takes, of usual tokens."""
    signer = _signer()
    tokens = [signer.issue(_claims(i)) for i in range(MAX_REMEMBERED)]
    for token in tokens:
        signer.verify(token, time())
    [memo] = signer._keys.current().memos.values()
    each = (
        sys.getsizeof(text)
        + sum(map(sys.getsizeof, (claims, claims.subject, claims.session_id)))
        + sum(map(sys.getsizeof, (claims.issued_at, claims.expires_at, claims.scopes)))
        for text, claims in memo.items()
    )
    return sys.getsizeof(memo) + sum(each)


def measure(rounds: int) -> tuple[list[Group], list[Bar]]:
    """Return tokens and requests, and the bars of both."""
    signer, again, hmac = _signer(), _signer(), micro.ours()
    token, hmac_token = signer.issue(_claims()), hmac.issue()
    content, _, _ = token.rpartition(".")
    message = b"tokenauth/access/app\n" + content.encode()
    signature, public = ed25519.sign(SEED, message), KEY.public_key()
    eddsa = jwt.encode(micro.claims(), PRIVATE_PEM, algorithm="EdDSA")
    okp = OKPKey.import_key(PRIVATE_PEM.decode())
    jose = joserfc_jwt.encode({"alg": "Ed25519"}, micro.claims(), okp, ["Ed25519"])
    paseto_key = pyseto.Key.new(version=4, purpose="public", key=PUBLIC_PEM)
    paseto = pyseto.encode(
        pyseto.Key.new(version=4, purpose="public", key=PRIVATE_PEM), b'{"sub": "u"}'
    )
    numbers = itertools.count()
    fresh = [signer.issue(_claims(i)) for i in range(MAX_REMEMBERED + 64)]

    def first() -> None:  # the oldest are forgotten before they come again
        signer.verify(fresh[next(numbers) % len(fresh)], time())

    calls = {
        LIBRARY: lambda: public.verify(signature, message),
        FIRST: first,
        AGAIN: lambda: again.verify(token, time()),
        HMAC: lambda: hmac.verify(hmac_token),
        "PyJWT": lambda: jwt.decode(eddsa, PUBLIC_PEM, algorithms=["EdDSA"]),
        "joserfc": lambda: joserfc_jwt.decode(jose, okp, algorithms=["Ed25519"]),
        "pyseto v4.public": lambda: pyseto.decode(paseto_key, paseto),
    }
    verify = Group(
        title="verify a token by a public key",
        unit="us",
        base=LIBRARY,
        samples=take_turns("key pairs", calls, rounds=rounds, number=50),
    )
    requests = Group(
        title="a request with a token of a key pair",
        unit="us",
        base=SERVICE,
        samples=take_turns(
            "services",
            {name: caller(page) for name, page in _pages().items()},
            rounds=rounds,
            number=50,
        ),
    )
    bars = [
        Bar(what="key pair: first / library", value=verify.ratio(FIRST), at_most=1.3),
        Bar(
            what="key pair: remembered / HMAC",
            value=verify.ratio(AGAIN, HMAC),
            at_most=1.5,
        ),
        Bar(
            what="request: a service / the issuer",
            value=requests.ratio(SERVICE, ISSUER),
            at_most=1.0,
        ),
        Bar(
            what="request: Flask-JWT-Extended, EdDSA / a service",
            value=requests.ratio(JWT_EDDSA),
            at_least=3,
        ),
        Bar(
            what="MB of a full memo of usual tokens",
            value=memo_bytes() / 1e6,
            at_most=4,
        ),
    ]
    return [verify, requests], bars

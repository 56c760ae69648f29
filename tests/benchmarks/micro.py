"""One token: issued, verified, refused, beside what other libraries take for the same.

All tokens say the same (who, which session, issued, expires, authenticated), all checks
end with the expiry. The floor is what one would write by hand: base64, `hmac.digest`,
`compare_digest`, a fast JSON, the expiry.
"""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hmac import compare_digest, digest
from time import time
from typing import Any

import django.conf
import jwt
import msgspec
import orjson
import pyseto
from cryptography.fernet import Fernet, InvalidToken
from django.core import signing
from itsdangerous import BadSignature, URLSafeTimedSerializer
from joserfc import jwt as joserfc_jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from tests.benchmarks.measure import Bar, Group, take_turns
from tokenauth import AuthError, Claims
from tokenauth.tokens.header import read_header
from tokenauth.tokens.signing import TokenSigner

LIFETIME = 900
KEY = secrets.token_bytes(48)
SESSION_ID = secrets.token_urlsafe(16)
OURS, FLOOR, ITSDANGEROUS, PYJWT = "tokenauth", "floor", "itsdangerous", "PyJWT"


class RefusedError(Exception):
    """What the hand-written floor says of a bad token."""


@dataclass(frozen=True, kw_only=True)
class Library:
    """How one library issues a token, checks it, and says no."""

    issue: Callable[[], str]
    verify: Callable[[str], object]
    refusal: type[Exception] | tuple[type[Exception], ...]

    def refuse(self, token: str) -> None:
        try:
            self.verify(token)
        except self.refusal:
            return
        raise AssertionError("a forged token was accepted")


def claims() -> dict[str, Any]:
    now = int(time())
    return {
        "sub": "u-12345",
        "sid": SESSION_ID,
        "iat": now,
        "exp": now + LIFETIME,
        "auth_time": now,
    }


def floor(
    encode: Callable[[Any], bytes], decode: Callable[[bytes], dict[str, Any]]
) -> Library:
    """Return the shortest code that does it right."""

    def issue() -> str:
        content = urlsafe_b64encode(encode(claims())).rstrip(b"=")
        signature = urlsafe_b64encode(digest(KEY, content, "sha256")).rstrip(b"=")
        return (content + b"." + signature).decode()

    def verify(token: str) -> object:
        content, _, signature = token.encode().rpartition(b".")
        expected = digest(KEY, content, "sha256")
        if not compare_digest(expected, urlsafe_b64decode(signature + b"=")):
            raise RefusedError
        found = decode(urlsafe_b64decode(content + b"=="))
        if found["exp"] <= time():
            raise RefusedError
        return found

    return Library(issue=issue, verify=verify, refusal=RefusedError)


def ours(keys: int = 1) -> Library:
    older = [secrets.token_bytes(48) for _ in range(keys - 1)]
    signer = TokenSigner(
        [*older, KEY], purpose="access", realm="app", claims_type=Claims
    )

    def issue() -> str:
        now = int(time())
        return signer.issue(
            Claims(
                subject="u-12345",
                session_id=SESSION_ID,
                issued_at=now,
                expires_at=now + LIFETIME,
                authenticated_at=now,
                scopes=frozenset(),
            )
        )

    return Library(
        issue=issue,
        verify=lambda token: signer.verify(token, time()),
        refusal=AuthError,
    )


def itsdangerous() -> Library:
    serializer = URLSafeTimedSerializer(KEY)
    return Library(
        issue=lambda: str(serializer.dumps(claims())),
        verify=lambda token: serializer.loads(token, max_age=LIFETIME),
        refusal=BadSignature,
    )


def pyjwt() -> Library:
    return Library(
        issue=lambda: jwt.encode(claims(), KEY, algorithm="HS256"),
        verify=lambda token: jwt.decode(token, KEY, algorithms=["HS256"]),
        refusal=jwt.InvalidTokenError,
    )


def joserfc() -> Library:
    key = OctKey.import_key(KEY)
    registry = joserfc_jwt.JWTClaimsRegistry()

    def verify(token: str) -> object:
        found = joserfc_jwt.decode(token, key, algorithms=["HS256"])
        registry.validate(found.claims)
        return found

    return Library(
        issue=lambda: joserfc_jwt.encode({"alg": "HS256"}, claims(), key),
        verify=verify,
        refusal=(JoseError, ValueError),
    )


def paseto_local() -> Library:
    key = pyseto.Key.new(version=4, purpose="local", key=KEY[:32])
    paseto = pyseto.Paseto.new(exp=LIFETIME, include_iat=True)
    said = {"sub": "u-12345", "sid": SESSION_ID, "auth_time": int(time())}
    return Library(
        issue=lambda: paseto.encode(key, said, serializer=json).decode(),
        verify=lambda token: paseto.decode(key, token, deserializer=json),
        refusal=(pyseto.VerifyError, pyseto.DecryptError, ValueError),
    )


def django_signing() -> Library:
    if not django.conf.settings.configured:
        django.conf.settings.configure(SECRET_KEY=KEY.hex())
    return Library(
        issue=lambda: signing.dumps(claims()),
        verify=lambda token: signing.loads(token, max_age=LIFETIME),
        refusal=signing.BadSignature,
    )


def django_kept() -> Library:
    signer = signing.TimestampSigner(key=KEY.hex())
    return Library(
        issue=lambda: signer.sign(f"u-12345.{SESSION_ID}"),
        verify=lambda token: signer.unsign(token, max_age=LIFETIME),
        refusal=signing.BadSignature,
    )


def fernet() -> Library:
    box = Fernet(Fernet.generate_key())
    return Library(
        issue=lambda: box.encrypt(orjson.dumps(claims())).decode(),
        verify=lambda token: orjson.loads(box.decrypt(token, ttl=LIFETIME)),
        refusal=InvalidToken,
    )


def libraries() -> dict[str, Library]:
    return {
        FLOOR: floor(orjson.dumps, orjson.loads),
        "floor with msgspec's JSON": floor(
            msgspec.json.Encoder().encode, msgspec.json.Decoder(dict).decode
        ),
        OURS: ours(),
        "tokenauth, 2 keys": ours(2),
        ITSDANGEROUS: itsdangerous(),
        PYJWT: pyjwt(),
        "joserfc": joserfc(),
        "pyseto v4.local": paseto_local(),
        "Django signing": django_signing(),
        "Django TimestampSigner, kept": django_kept(),
        "Fernet": fernet(),
    }


def forged(token: str) -> str:
    """Return the token with one character of its signature changed."""
    place = len(token) - 5
    return token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]


def measure(rounds: int) -> tuple[list[Group], list[Bar]]:
    """Return the three groups, and the bars of tokens."""
    found = libraries()
    tokens = {name: library.issue() for name, library in found.items()}
    lengths = {name: f"{len(token)} characters" for name, token in tokens.items()}
    junk = "Bearer " + "a" * 32_768 + "." + "a" * 32_767

    def of_junk() -> None:
        with suppress(AuthError):
            read_header(junk)
            raise AssertionError("junk was accepted")

    def group(title: str, calls: dict[str, Callable[[], object]]) -> Group:
        samples = take_turns(title, calls, rounds=rounds, number=200)
        return Group(title=title, unit="us", base=FLOOR, samples=samples, notes=lengths)

    verify = group(
        "verify a token",
        {
            **{name: _on(lib.verify, tokens[name]) for name, lib in found.items()},
            "64 KiB of junk": of_junk,
        },
    )
    refuse = group(
        "refuse a forged token",
        {name: _on(lib.refuse, forged(tokens[name])) for name, lib in found.items()},
    )
    issue = group("issue a token", {name: lib.issue for name, lib in found.items()})
    bars = [
        Bar(what="verify / floor", value=verify.ratio(OURS), at_most=1.0),
        Bar(what="verify: PyJWT / ours", value=verify.ratio(PYJWT, OURS), at_least=7.5),
        Bar(
            what="verify: itsdangerous / ours",
            value=verify.ratio(ITSDANGEROUS, OURS),
            at_least=3.5,
        ),
        Bar(
            what="verify: 2 keys / 1 key, token of the newest",
            value=verify.ratio("tokenauth, 2 keys", OURS),
            at_most=1.1,
        ),
        Bar(
            what="64 KiB of junk / accepting a token",
            value=verify.ratio("64 KiB of junk", OURS),
            at_most=1.0,
        ),
        Bar(what="refuse / floor", value=refuse.ratio(OURS), at_most=1.3),
        Bar(what="issue / floor", value=issue.ratio(OURS), at_most=1.0),
        Bar(what="characters of a token", value=len(tokens[OURS]), at_most=130),
    ]
    return [verify, refuse, issue], bars


def _on(function: Callable[[str], object], token: str) -> Callable[[], object]:
    return lambda: function(token)

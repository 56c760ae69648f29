"""Public keys as a JSON Web Key set (RFC 7517, RFC 8037), for services and people."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from typing import Annotated, Literal

from msgspec import Meta, Struct


class Jwk(Struct, frozen=True, kw_only=True):
    """A public key (RFC 8037 section 2)."""

    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"
    alg: Literal["EdDSA"] = "EdDSA"
    use: Literal["sig"] = "sig"
    kid: Annotated[str, Meta(description="Its thumbprint (RFC 7638); no token has it.")]
    x: Annotated[str, Meta(description="The key in base64url.")]


class JwkSet(Struct, frozen=True):
    """The public keys by which access and personal tokens are verified."""

    keys: list[Jwk]


def jwk_set(publics: Iterable[bytes]) -> JwkSet:
    """Return public keys as a set."""
    return JwkSet([_jwk(_base64url(public)) for public in publics])


def _jwk(x: str) -> Jwk:
    members = f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()
    return Jwk(kid=_base64url(hashlib.sha256(members).digest()), x=x)


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

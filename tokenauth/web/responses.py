"""The answers of our endpoints, and a token pair that is one."""

from __future__ import annotations

import msgspec
from flask import Response

from ..errors.base import NO_STORE
from ..sessions import issuer
from . import refresh_cookie
from .refresh_cookie import ResponseT

_encode = msgspec.json.Encoder().encode


class TokenPair(issuer.TokenPair, frozen=True, kw_only=True):
    """The answer to a login, in the words of RFC 6749 section 5.1."""

    def to_response(self, *, cookie: bool = False) -> Response:
        """Return the answer that `/auth/login` gives: JSON that no cache keeps.

        Args:
            cookie: Whether the refresh token is in the cookie, not in the JSON.

        Raises:
            ConfigurationError: `TOKENAUTH_REFRESH_COOKIE` is off.
        """
        if not cookie:
            return json_response(self)
        return self.set_cookie(json_response(refresh_cookie.without_token(self)))

    def set_cookie(self, response: ResponseT) -> ResponseT:
        """Set the refresh cookie on a response, for example a redirect to a page.

        No cache may keep the response then.

        Args:
            response: The response (of Flask or Werkzeug).

        Returns:
            The same response.

        Raises:
            ConfigurationError: `TOKENAUTH_REFRESH_COOKIE` is off.
        """
        return refresh_cookie.set_on(response, self)


def json_response(body: object, status: int = 200) -> Response:
    """Return JSON that no cache keeps, with a newline for terminals."""
    return Response(_encode(body) + b"\n", status, NO_STORE, "application/json")


def empty(status: int) -> Response:
    """Return the answer to a request that is done and has nothing to say."""
    response = Response(status=status, headers=NO_STORE)
    response.headers.remove("Content-Type")
    return response

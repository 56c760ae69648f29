"""The refresh token in a cookie that no script can read, for browsers.

Only `/auth/refresh` takes it, and only from a page of ours: it opens no view.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any, Final, TypeVar

import msgspec
from flask import Response, after_this_request
from werkzeug.wrappers import Response as BaseResponse

from .. import errors
from ..errors.base import NO_STORE
from ..sessions.issuer import TokenPair
from .request import this_request
from .state import current_state

NAME: Final = "__Secure-tokenauth_refresh"
"""The cookie's name; browsers refuse such a one from plain HTTP (RFC 6265bis 4.1.3)."""

# A host that may have siblings. The header may have anything else in it.
_HOST: Final = re.compile(r"([\w-]{1,63}\.){1,9}[\w-]{1,63}", re.ASCII)

_OFF: Final = "No refresh cookie is set here unless TOKENAUTH_REFRESH_COOKIE is True."
_FOREIGN: Final = (
    "The refresh cookie is for pages of this site and of TOKENAUTH_ORIGINS, which "
    "neither Sec-Fetch-Site nor Origin names."
)

ResponseT = TypeVar("ResponseT", bound=BaseResponse)


def check_login() -> None:
    """Check that a login may ask for the cookie.

    A page of another site could log its visitors in as somebody else (login CSRF). A
    client that is no browser says nothing of where it is.

    Raises:
        InvalidRequestError: the application sets no cookie, or the page is foreign.
    """
    if not current_state().settings.refresh_cookie:
        raise errors.InvalidRequestError(_OFF)
    headers = this_request().headers
    if ("Sec-Fetch-Site" in headers or "Origin" in headers) and not _is_ours():
        raise errors.InvalidRequestError(_FOREIGN)


def take(given: str | None) -> str:
    """Return the refresh token: the body's, or that of the cookie.

    Args:
        given: The body's.

    Raises:
        InvalidRequestError: there is none or one in both, or nothing shows that the
            request comes from a page of ours.
        InvalidGrantError: there are several cookies: one may be of an attacker on a
            sibling domain, who would log the user in as himself.
    """
    cookies = _sent()
    if (given is None) is (not cookies):
        raise errors.InvalidRequestError(
            "Send either a 'refresh_token' or the cookie of a login, and not both."
        )
    if given is not None:
        return given
    if not _is_ours():
        raise errors.InvalidRequestError(_FOREIGN)
    if len(cookies) > 1:
        raise errors.InvalidGrantError
    return cookies[0]


def keep(pair: TokenPair) -> TokenPair:
    """Have the browser keep the refresh token; return the answer without it."""
    after_this_request(lambda response: set_on(response, pair))
    return without_token(pair)


def without_token(pair: TokenPair) -> TokenPair:
    """Return the answer to a login whose refresh token is in the cookie."""
    return msgspec.structs.replace(pair, refresh_token=msgspec.UNSET)


def set_on(response: ResponseT, pair: TokenPair) -> ResponseT:
    """Set the cookie on a response, which no cache may keep then.

    Raises:
        ConfigurationError: the application sets no cookie.
    """
    if not current_state().settings.refresh_cookie:
        raise errors.ConfigurationError(_OFF)
    response.set_cookie(NAME, pair.refresh_token, pair.refresh_expires_in, **_flags())
    response.headers.update(NO_STORE)
    return response


def clear() -> None:
    """Have the browser drop the cookie, and those that a sibling domain set."""
    flags = _flags()
    domains = {flags.pop("domain"), None}
    host = this_request().host.partition(":")[0]
    if len(_sent()) > 1 and _HOST.fullmatch(host):
        labels = host.split(".")
        domains |= {".".join(labels[n:]) for n in range(len(labels) - 1)}

    def drop(response: Response) -> Response:
        for domain in domains:
            response.delete_cookie(NAME, domain=domain, **flags)
        return response

    after_this_request(drop)


def is_of(session_id: str) -> bool:
    """Return whether the request has the cookie of a session."""
    read = current_state().service.session_of_refresh
    return any(read(cookie) == session_id for cookie in _sent())


def clear_ended() -> None:
    """Have the browser drop a cookie whose session has ended."""
    cookies, service = _sent(), current_state().service
    with contextlib.suppress(errors.StoreUnavailableError):  # what was done is done
        ids = map(service.session_of_refresh, cookies)
        if cookies and not any(id and service.active_session(id) for id in ids):
            clear()


def _sent() -> list[str]:
    is_on = current_state().settings.refresh_cookie
    return this_request().cookies.getlist(NAME) if is_on else []


def _is_ours() -> bool:
    """Return whether a browser says that a page of ours sent the request.

    No script of a page can set either header (Fetch standard, forbidden names).
    """
    request = this_request()
    if request.headers.get("Sec-Fetch-Site") in ("same-origin", "same-site"):
        return True
    own = f"{request.scheme}://{request.host}"
    return request.headers.get("Origin") in (own, *current_state().settings.origins)


def _flags() -> dict[str, Any]:
    settings = current_state().settings
    return {
        "path": this_request().root_path + settings.url_prefix,
        "domain": settings.refresh_cookie_domain,
        "secure": True,
        "httponly": True,
        "samesite": settings.refresh_cookie_samesite,
    }

"""Every failure as a type: an HTTP exception that is its own response.

No error ever carries a token, a password, a key or a hash, so it may be logged.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any, ClassVar

from werkzeug.exceptions import (
    BadRequest,
    Forbidden,
    HTTPException,
    InternalServerError,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
    UnprocessableEntity,
    UnsupportedMediaType,
)

UNQUOTABLE = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")
"""What no attribute of a challenge may contain (RFC 6750 section 3)."""

PROBLEM = "application/problem+json"

# RFC 6749 section 5.1, ASVS 14.3.2.
NO_STORE = {
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "X-Content-Type-Options": "nosniff",
}


class ConfigurationError(RuntimeError):
    """The application is set up in a way that is unsafe or cannot work."""


class AuthError(HTTPException):
    """Base of every failure that a request or a token can cause.

    Each class derives from Werkzeug's class of its status as well, so an application's
    `errorhandler(401)` is called for it. Raised anywhere in a request it is answered
    with a problem document (RFC 9457), its challenge and its headers.

    Args:
        description: What went wrong and what the client can do, for a person to read.
            Defaults to the type's own description.

    Attributes:
        code: HTTP status (int), as everywhere in Werkzeug.
        error_code: Stable word for programs (str), the document's member `code`.
        challenge: The `error` of the `WWW-Authenticate` challenge (RFC 6750
            section 3). Empty: a challenge without `error`. None: no challenge.
        oauth_error: The document's member `error`, for clients of OAuth (RFC 6749
            section 5.2); None: the document has none.
    """

    error_code: ClassVar[str] = "auth_error"
    challenge: ClassVar[str | None] = None
    oauth_error: str | None = None

    def __init__(self, description: str | None = None) -> None:
        super().__init__(description=description or None)

    def __reduce__(self) -> tuple[Any, ...]:
        """Werkzeug's exceptions keep no `args`, by which others are pickled."""
        return _restore, (type(self), self.__dict__)

    @property
    def title(self) -> str:
        """Short name of the problem (RFC 9457 section 3.1.3)."""
        return self.error_code.replace("_", " ").capitalize()

    @property
    def data(self) -> dict[str, Any]:
        """The problem document; what Flask-RESTX and Flask-RESTful send as the body."""
        document = {
            "type": f"urn:tokenauth:problem:{self.error_code}",
            "title": self.title,
            "status": self.code,
            "detail": self.description,
            "code": self.error_code,
        }
        return document | ({"error": self.oauth_error} if self.oauth_error else {})

    def get_body(self, environ: Any = None, scope: Any = None) -> str:  # noqa: ARG002
        """Return the problem document as JSON, with a newline for terminals."""
        return json.dumps(self.data, separators=(",", ":")) + "\n"

    def get_headers(
        self, environ: Any = None, scope: Any = None
    ) -> list[tuple[str, str]]:
        """Return type, challenge and no-store beside Werkzeug's for this status."""
        headers = dict(super().get_headers(environ, scope))
        headers |= {"Content-Type": PROBLEM, **NO_STORE}
        if self.challenge is not None:
            headers["WWW-Authenticate"] = self._challenge(self.challenge)
        return list(headers.items())

    def _challenge(self, error: str) -> str:
        """Return the `WWW-Authenticate` value (RFC 6750 section 3)."""
        attributes = {"realm": _current_realm()}
        if error:
            attributes |= {"error": error, "error_description": self.description}
        attributes |= self._challenge_attributes()
        quoted = [
            _quoted(name, value)
            for name, value in attributes.items()
            if value is not None
        ]
        return " ".join(["Bearer", ", ".join(quoted)]).rstrip()

    def _challenge_attributes(self) -> dict[str, str | None]:
        """Return what this error adds to the challenge."""
        return {}


def _quoted(name: str, value: str) -> str:
    text = UNQUOTABLE.sub("'", value)
    return f'{name}="{text}"'


def _restore(kind: type[AuthError], attributes: dict[str, Any]) -> AuthError:
    error = kind.__new__(kind)
    error.__dict__.update(attributes)
    return error


def _current_realm() -> str | None:
    """Return the realm of the current application; None outside of one."""
    flask = sys.modules.get("flask")  # a service without Flask does not import it
    if flask is None or not flask.has_app_context():
        return None
    state = flask.current_app.extensions.get("tokenauth")
    return None if state is None else state.settings.realm


class TokenError(AuthError, Unauthorized):
    """The request cannot be tied to a user by its token."""

    challenge = "invalid_token"


class TokenMissingError(TokenError):
    """No credentials of our kind were sent (RFC 6750 section 3.1: no `error`)."""

    error_code = "token_missing"
    description = (
        "This resource needs a token: send the header 'Authorization: Bearer <token>'."
    )
    challenge = ""


class TokenInvalidError(TokenError):
    """The token was not issued here, for this purpose, or not spelled like this."""

    error_code = "token_invalid"
    description = "The token is not valid here: log in to get a new one."


class TokenExpiredError(TokenError):
    """The token's lifetime has passed."""

    error_code = "token_expired"
    description = "The token has expired: refresh it, or log in again."


class TokenRevokedError(TokenError):
    """The token's session has ended, or its user is disabled or removed."""

    error_code = "token_revoked"
    description = "The token has been revoked: log in again."


class InvalidCredentialsError(AuthError, Unauthorized):
    """Username and password do not belong together, whatever the reason."""

    error_code = "invalid_credentials"
    description = "The username or the password is wrong."
    challenge = ""


class InsufficientScopeError(AuthError, Forbidden):
    """The token is good but may not do this (RFC 6750 section 3.1).

    Args:
        scopes: The scopes that the resource requires.
    """

    error_code = "insufficient_scope"
    challenge = "insufficient_scope"

    def __init__(self, scopes: frozenset[str]) -> None:
        self.scope = " ".join(sorted(scopes))
        super().__init__(
            f"The token lacks a scope. Required here: {self.scope}. Log in again to "
            "use a newly granted scope."
        )

    def _challenge_attributes(self) -> dict[str, str | None]:
        return {"scope": self.scope}


class FreshLoginRequiredError(AuthError, Unauthorized):
    """The password was proved too long ago for this resource (RFC 9470 section 3).

    Args:
        max_age: Greatest accepted age of the login in seconds. None: a login with a
            password is needed, which a personal access token is not.
    """

    error_code = "fresh_login_required"
    challenge = "insufficient_user_authentication"
    description = (
        "This needs a recent login with a password; a personal access token is not "
        "enough."
    )

    def __init__(self, max_age: int | None = None) -> None:
        self.max_age = max_age
        super().__init__(
            None
            if max_age is None
            else f"This needs a login at most {max_age} seconds old: log in again."
        )

    def _challenge_attributes(self) -> dict[str, str | None]:
        return {"max_age": None if self.max_age is None else str(self.max_age)}


class InvalidGrantError(AuthError, BadRequest):
    """The refresh token is bad, expired, reused or revoked (RFC 6749 section 5.2)."""

    error_code = "invalid_grant"
    description = "The refresh token is not valid any more: log in again."


class InvalidRequestError(AuthError, BadRequest):
    """The request is malformed; the description names the field, never its value."""

    error_code = "invalid_request"
    description = "The request is malformed."


class AmbiguousTokenError(InvalidRequestError):
    """More than one token was sent (RFC 6750 section 2: one method a request)."""

    description = "Send exactly one token, in one Authorization header."
    challenge = "invalid_request"


class InvalidScopeError(AuthError, BadRequest):
    """A scope was asked for that the user does not have (RFC 6749 section 5.2)."""

    error_code = "invalid_scope"
    description = "A requested scope is malformed or not allowed for this user."


class PasswordRefusedError(AuthError, UnprocessableEntity):
    """The new password fails the policy; the description says which rule.

    Args:
        rule: Stable name of the rule (`too_short`, `too_long`, `not_text`, `username`,
            `common`, `breached`); the `rule` of the problem document.
        description: The rule in words.
    """

    error_code = "password_refused"

    def __init__(self, rule: str, description: str) -> None:
        self.rule = rule
        super().__init__(description)

    @property
    def data(self) -> dict[str, Any]:
        """The problem document, with the rule."""
        return {**super().data, "rule": self.rule}


class NotFoundError(AuthError, NotFound):
    """There is no such resource, or it belongs to somebody else."""

    error_code = "not_found"
    description = "There is nothing at this address."


class MethodNotAllowedError(AuthError, MethodNotAllowed):
    """The resource does not know this method (RFC 9110 section 15.5.6).

    Args:
        allowed: The methods that it knows.
    """

    error_code = "method_not_allowed"

    def __init__(self, allowed: list[str]) -> None:
        super().__init__(f"Use one of: {', '.join(sorted(allowed))}.")
        self.valid_methods = sorted(allowed)


class PayloadTooLargeError(AuthError, RequestEntityTooLarge):
    """The body is larger than any body that these routes need."""

    error_code = "payload_too_large"
    description = "The body may have at most 16384 bytes."


class UnsupportedMediaTypeError(AuthError, UnsupportedMediaType):
    """The body is not of the media type that the route reads.

    Args:
        media_type: The one that it reads.
    """

    error_code = "unsupported_media_type"

    def __init__(self, media_type: str) -> None:
        super().__init__(f"Send the body with the header 'Content-Type: {media_type}'.")


class RetryLaterError(AuthError):
    """The same request may succeed later.

    Args:
        retry_after: Seconds after which a retry makes sense, at least 1.
    """

    retry_after: Any  # Werkzeug's, which may be a date

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__()
        self.retry_after = max(1, retry_after)


class TooManyAttemptsError(RetryLaterError, TooManyRequests):
    """A limit of attempts or uses is reached (RFC 6585 section 4)."""

    error_code = "too_many_attempts"
    description = "Too many attempts: wait before the next one."


class OverloadedError(RetryLaterError, ServiceUnavailable):
    """The server is busy hashing passwords and does not queue more of them."""

    error_code = "overloaded"
    description = "Too many logins at this moment: try again shortly."


class StoreUnavailableError(RetryLaterError, ServiceUnavailable):
    """The store of users or sessions cannot answer; nobody is let in.

    Args:
        retry_after: Seconds after which a retry makes sense.
        reason: Why, for the operator; the client is not told.
    """

    error_code = "store_unavailable"
    description = "The service cannot check this at the moment: try again shortly."

    def __init__(self, retry_after: int = 1, *, reason: str | None = None) -> None:
        super().__init__(retry_after)
        self.reason = reason


class ServerError(AuthError, InternalServerError):
    """Code failed, ours or the application's; its log tells what.

    The name is that of RFC 6749 section 4.1.2.1.
    """

    error_code = "server_error"
    description = "Something failed on the server: try again later."

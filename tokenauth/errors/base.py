"""The base of every failure: an HTTP exception that is its own response."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

from werkzeug.exceptions import HTTPException

# What no attribute of a challenge may contain (RFC 6750 section 3).
_UNQUOTABLE = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")

PROBLEM = "application/problem+json"

# RFC 6749 section 5.1, ASVS 14.3.2.
NO_STORE = {
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "X-Content-Type-Options": "nosniff",
}


class ConfigurationError(RuntimeError):
    """The application is set up in a way that is unsafe or cannot work."""


class Answer(HTTPException):
    """An exception that answers as it is, beside a handler for all of them, too."""


class AuthError(Answer):
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
        challenge_attributes: What else the challenge says.
        oauth_error: The document's member `error`, for clients of OAuth (RFC 6749
            section 5.2); None: the document has none.

    Example:
        >>> error = TokenExpiredError()
        >>> error.code, error.error_code
        (401, 'token_expired')
        >>> error.get_response().headers["WWW-Authenticate"]
        'Bearer error="invalid_token", error_description="..."'
    """

    error_code: ClassVar[str] = "auth_error"
    challenge: ClassVar[str | None] = None
    challenge_attributes: Mapping[str, str] = {}
    oauth_error: str | None = None

    def __init__(self, description: str | None = None) -> None:
        super().__init__(description=description or None)
        self.code = self.code or 500  # of a class without a status: never a 200

    def __reduce__(self) -> tuple[Any, ...]:
        """Werkzeug's exceptions keep no `args`, by which others are pickled."""
        return type(self).__new__, (type(self),), self.__dict__

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
        attributes = {"realm": current_setting("realm")}
        if error:
            attributes |= {"error": error, "error_description": self.description}
        quoted = []
        for name, value in {**attributes, **self.challenge_attributes}.items():
            if value is not None:
                text = _UNQUOTABLE.sub("'", value)
                quoted.append(f'{name}="{text}"')
        return f"Bearer {', '.join(quoted)}".rstrip()


class RetryLaterError(AuthError):
    """The same request may succeed later.

    Args:
        retry_after: Seconds after which a retry makes sense, at least 1.
    """

    retry_after: Any  # Werkzeug's, which may be a date

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__()
        self.retry_after = max(1, retry_after)


def current_setting(name: str) -> str | None:
    """Return a setting of the current application; None outside of one."""
    flask = sys.modules.get("flask")  # a service without Flask does not import it
    if flask is None or not flask.has_app_context():
        return None
    state = flask.current_app.extensions.get("tokenauth")
    return None if state is None else getattr(state.settings, name)

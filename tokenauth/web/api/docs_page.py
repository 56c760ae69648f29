"""The API's description, a page to read and try it, and the file `client.js`.

The page is Swagger UI from an installed package. Nothing is loaded from elsewhere, and
the page's policy lets nothing be.
"""

from __future__ import annotations

from functools import lru_cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from flask import Response, request, send_from_directory

from ...errors import NotFoundError
from ..request import this_request, url_parameters
from ..responses import json_response
from ..state import current_state
from . import ROUTES
from .openapi import describe

_PACKAGE: Final = "flask_swagger_ui"
_ASSETS: Final = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

_describe: Final = lru_cache(maxsize=8)(partial(describe, ROUTES))


def description() -> dict[str, Any]:
    """Return the description (OpenAPI 3.1) of the current application's endpoints."""
    settings = current_state().settings
    return _describe(settings.url_prefix, settings.realm, settings.header)


def openapi() -> Response:
    """Describe the API."""
    servers = [{"url": request.root_path or "/"}]
    return json_response(description() | {"servers": servers})


def page() -> Response:
    """Show the description as a page to read and try.

    Raises:
        NotFoundError: the page's package is not installed.
    """
    _folder()
    html = _read("docs.html").decode()
    if current_state().settings.refresh_cookie:
        html = html.replace(" hidden>", ">", 1)
    # Its addresses are relative to its own, so it works wherever it is mounted.
    response = Response(html, mimetype="text/html")
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return _plain(response)


def asset(name: str) -> Response:
    """Send a file of the page.

    Raises:
        NotFoundError: the page has no such file, or its package is not installed.
    """
    if name == "start.js":
        return _script(name)
    if name not in _ASSETS:
        raise NotFoundError
    return _plain(send_from_directory(_folder(), name))


def client() -> Response:
    """Send the fetch wrapper for browsers; `?v=<version>` lets caches keep it."""
    response = _script("client.js")
    response.add_etag()
    version = description()["info"]["version"]
    is_named = url_parameters(this_request(), "v") == [version]
    age = "31536000, immutable" if is_named else "3600"
    response.headers["Cache-Control"] = f"public, max-age={age}"
    response.make_conditional(this_request())
    return response


def _script(name: str) -> Response:
    """Return a script of ours; it sends the token in the header that is read."""
    named = f'"{current_state().settings.header}"'.encode()
    text = _read(name).replace(b'"Authorization"', named)
    return _plain(Response(text, mimetype="text/javascript"))


@lru_cache
def _read(name: str) -> bytes:
    return (Path(__file__).parent / "static" / name).read_bytes()


def _folder() -> Path:
    try:
        return Path(str(files(_PACKAGE) / "dist"))
    except ModuleNotFoundError:
        raise NotFoundError(
            "This page needs a package: pip install 'flask-login-tokenauth[docs]'."
        ) from None


def _plain(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response

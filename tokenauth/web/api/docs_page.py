"""The API's description, and a page on which a person reads it and tries it out.

The page is Swagger UI from an installed package. Nothing is loaded from elsewhere, and
the page's policy lets nothing be.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from flask import Response, request, send_from_directory

from ...errors import NotFoundError
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

# Addresses are relative to the page's own, so it works wherever it is mounted.
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
<div id="swagger-ui"></div>
<noscript>This page needs JavaScript. <a href="openapi.json">The description</a>
does not.</noscript>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""

# Tokens are kept in the page's memory alone, and no validator elsewhere is asked.
_START: Final = """\
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});
"""


def description() -> dict[str, Any]:
    """Return the description (OpenAPI 3.1) of the current application's endpoints."""
    settings = current_state().settings
    return _describe(settings.url_prefix, settings.realm)


@lru_cache(maxsize=8)
def _describe(url_prefix: str, title: str) -> dict[str, Any]:
    return describe(ROUTES, url_prefix=url_prefix, title=title)


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
    response = Response(_PAGE, mimetype="text/html")
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return _plain(response)


def asset(name: str) -> Response:
    """Send a file of the page.

    Raises:
        NotFoundError: the page has no such file, or its package is not installed.
    """
    if name == "start.js":
        return _plain(Response(_START, mimetype="text/javascript"))
    if name not in _ASSETS:
        raise NotFoundError
    return _plain(send_from_directory(_folder(), name))


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

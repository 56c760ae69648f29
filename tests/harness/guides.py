"""The code and settings of the how-to guides, and applications made of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from flask import Flask

import tokenauth
from tests.harness.kit import make_users

FOLDER = Path(tokenauth.__file__).parent / "docs"
EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
PAGES = {page.relative_to(FOLDER): page.read_text() for page in FOLDER.rglob("*.md")}


def block(language: str, name: str) -> str:
    """Return what a page has people copy."""
    fence = rf"^```{language} {name}\n(.*?)^```$"
    [found] = re.findall(fence, "\n".join(PAGES.values()), re.DOTALL | re.MULTILINE)
    text: str = found
    return text


def names_of(name: str, **given: Any) -> dict[str, Any]:
    """Run a snippet as a new module; return the module's names."""
    names: dict[str, Any] = {
        "__name__": f"guide_{name}",
        "users": make_users(),
        **given,
    }
    exec(block("python", name), names)  # noqa: S102 # our own page
    return names


def app_of(name: str, **given: Any) -> Flask:
    """Run a snippet as a new application's module."""
    app: Flask = names_of(name, **given)["app"]
    return app


def behind_nginx() -> Flask:
    """Return the application of the page on nginx, for a server."""
    return app_of("nginx")

"""What the code must not contain, and no linter of ours can say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import tokenauth

PACKAGE = Path(tokenauth.__path__[0])
SOURCES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))

BANNED = {
    "loads_unsafe": "reads a content before its signature is checked",
    "authorization": "raises on some bytes and keeps the credential in its repr",
    "login_user": "sets cookies",
    "MD5": "is broken",
    "sha1": "is legacy (ASVS appendix C)",
}
SECRET = re.compile(r"digest|signature|hmac|\bmac\b|\bsig\b|token|secret|password\b")


def slips(source: str) -> Iterator[str]:
    """Yield what a source does against the rules, as the code says it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute | ast.Name):
            name = node.attr if isinstance(node, ast.Attribute) else node.id
            if name in BANNED:
                yield f"{ast.unparse(node)} {BANNED[name]}"
        elif isinstance(node, ast.Compare) and _compares_secrets(node):
            yield f"{ast.unparse(node)}: compare secrets with hmac.compare_digest"


def _compares_secrets(node: ast.Compare) -> bool:
    """Whether the time that a comparison takes could tell of a secret."""
    if not any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
        return False
    return any(
        isinstance(side, ast.Name | ast.Attribute | ast.Call | ast.Subscript)
        and SECRET.search(ast.unparse(side).lower())
        for side in (node.left, *node.comparators)
    ) and not any(isinstance(s, ast.Constant) for s in (node.left, *node.comparators))


@pytest.mark.advisory("python-jose CVE-2016-7036")
def test_no_source_breaks_a_rule() -> None:
    """Python-jose CVE-2016-7036 and the traps of the libraries below us."""
    found = {path: list(slips((PACKAGE / path).read_text())) for path in SOURCES}
    assert {path: slip for path, slip in found.items() if slip} == {}


@pytest.mark.parametrize(
    "planted",
    [
        "serializer.loads_unsafe(token)",
        "user = request.authorization.username",
        "flask_login.login_user(user)",
        "if expected_signature == given: pass",
        "ok = hmac.new(key, value).digest() != sent",
        "return_ = stored.token == sent",
        "hashlib.sha1(value)",
    ],
)
def test_a_planted_slip_is_found(planted: str) -> None:
    """The rules can fail."""
    assert len(list(slips(planted))) == 1


@pytest.mark.checkout
@pytest.mark.parametrize("where", ["Makefile", "CONTRIBUTING.md", ".ci", ".github"])
def test_what_names_a_test_names_one_that_is_there(where: str) -> None:
    """The lists of what runs on other systems are not run here."""
    place = PACKAGE.parent / where
    files = [place] if place.is_file() else [p for p in place.rglob("*") if p.is_file()]
    named = re.findall(
        r"\btests(?:/\w+)+(?:\.\w+)?", "".join(path.read_text() for path in files)
    )
    assert [path for path in named if not (PACKAGE.parent / path).exists()] == []
    assert files

"""The docstrings of public names: whole, and their examples true."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import secrets
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from flask import Flask
from werkzeug.exceptions import HTTPException

import tokenauth
from tokenauth import TokenAuth, User
from tokenauth.stores.sql import Database
from tokenauth.testing import CHEAP_HASHING

MODULES = [
    importlib.import_module(f"tokenauth{name}")
    for name in (
        "",
        ".events",
        ".metrics",
        ".testing",
        ".tokens",
        ".stores.sql",
        ".stores.redis",
        ".stores.memory",
    )
]
PROTOCOLS = (
    tokenauth.UserStore,
    tokenauth.SessionStore,
    tokenauth.EndingFeed,
    tokenauth.stores.TableStore,
)
OPTIONS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


def example_app() -> Flask:
    """Return an application that examples use: its user is Ann, who may read."""
    app = Flask("example")
    app.config.update(SECRET_KEY=secrets.token_hex(32), TESTING=True, **CHEAP_HASHING)
    TokenAuth(app, {"Ann": User("Ann", id="ann", scopes="reports:read")})
    return app


def public_names() -> Iterator[tuple[str, Any]]:
    """Yield what a module says is public, else what it defines."""
    for module in MODULES:
        for name in getattr(module, "__all__", vars(module)):
            found = getattr(module, name)
            if hasattr(module, "__all__") or found_in(module, name, found):
                yield f"{module.__name__}.{name}", found


def found_in(module: ModuleType, name: str, found: object) -> bool:
    return name[0] != "_" and getattr(found, "__module__", "") == module.__name__


def functions() -> dict[str, Any]:
    """Return public functions and methods, but those that are documented elsewhere."""
    documented = {name for each in (*PROTOCOLS, HTTPException) for name in vars(each)}
    every = {}
    for name, found in public_names():
        if inspect.isfunction(found):
            every[name] = found
        if (
            inspect.isclass(found) and found is not Database
        ):  # its methods are not shown
            for method, function in vars(found).items():
                is_told = found not in PROTOCOLS and method in documented
                if inspect.isfunction(function) and method[0] != "_" and not is_told:
                    every[f"{name}.{method}"] = function
    return every


@pytest.mark.parametrize("name", sorted(functions()))
def test_every_argument_and_result_is_documented(name: str) -> None:
    """Beside the signature, which the pages show with its types."""
    function = functions()[name]
    text = inspect.getdoc(function) or ""
    for argument in set(inspect.signature(function).parameters) - {"self"}:
        if argument[0] != "_":
            assert re.search(rf"^ +{argument}: ", text, re.MULTILINE), argument
    result = inspect.signature(function).return_annotation
    told = re.search(r"^(Return|Yield)|; return ", text, re.MULTILINE)
    assert result == "None" or told


def test_the_examples_are_true() -> None:
    """Each runs as it stands, with the names that a reader knows."""
    names = {name.rpartition(".")[2]: found for name, found in public_names()}
    names |= {"__name__": __name__, "Flask": Flask, "secrets": secrets}
    names |= {"auth": TokenAuth(), "example_app": example_app}
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    finder = doctest.DocTestFinder(exclude_empty=True)
    tests = {
        test.name: test
        for name, found in public_names()
        for test in finder.find(found, name)
        if test.examples
    }
    for test in tests.values():
        test.globs = dict(names)
        runner.run(test)
    assert runner.failures == 0
    assert len(tests) >= 10

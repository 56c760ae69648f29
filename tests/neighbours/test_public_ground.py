"""We use what our neighbours document; the private names that we use are listed.

`PRIVATE` is the one list of exceptions, with reasons. Each entry has a test here, which
fails when a new release moves what the entry names.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, current_app, g, session
from flask_login import (
    LoginManager,
    current_user,
    login_fresh,
    login_user,
    logout_user,
)

import tokenauth
from tokenauth import User

PACKAGE = Path(tokenauth.__path__[0])
FILES = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
SOURCES = sorted(path for path in FILES if path.parts[0] != "docs")  # its examples
IS_PRIVATE = re.compile(r"_[A-Za-z][A-Za-z0-9_]*")

PYTHONS = {
    "_abc_impl",
    "_asdict",
    "_fields",
    "_make",
    "_replace",
}  # or documented by it

PRIVATE = {
    "_fresh": "Flask-Login's `login_fresh` reads it from the session; a token's "
    "freshness goes there, in a session that is never saved",
    "_get_current_object": "Werkzeug documents it for what must be the object itself",
    "_load_user": "Flask-Login asks cookies in it, before its `request_loader`",
    "_login_user": "Flask-Login keeps the current user there, on `g`; an outer "
    "application context is one `g` for all requests in it",
    "_set_cookie": "Flask-Login writes the user's id into the remember cookie in it",
    "_user_id": "Flask-Login keeps the user's id there, in the session",
    "_update_remember_cookie": "Flask-Login opens every request's session in it",
    "_update_request_context_with_user": "`login_user` and `logout_user` set the user "
    "by it; no token speaks for that user",
}


def is_private(name: object) -> bool:
    if not isinstance(name, str) or name in PYTHONS:
        return False
    return bool(IS_PRIVATE.fullmatch(name)) and not name.startswith("_tokenauth")


# -- private names ---------------------------------------------------------------------


def own_names(tree: ast.AST) -> set[str]:
    """Return the private names that a module defines: functions, fields, variables."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}:
                names.add(node.attr)
        elif isinstance(node, ast.ImportFrom) and node.level:  # of our own modules
            names.update(alias.asname or alias.name for alias in node.names)
    return {name for name in names if is_private(name)}


def foreign_names(source: str) -> Iterator[object]:
    """Yield the private names of others that a source reads, imports or spells."""
    tree = ast.parse(source)
    own = own_names(tree)
    for node in ast.walk(tree):
        found: list[object]
        if isinstance(node, ast.Attribute):
            found = [node.attr]
        elif isinstance(node, ast.Constant):
            found = [node.value]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or "", *(alias.name for alias in node.names)]
            found = [part for name in names for part in name.split(".")]
        elif isinstance(node, ast.Import):
            found = [part for alias in node.names for part in alias.name.split(".")]
        else:
            continue
        yield from (name for name in found if is_private(name) and name not in own)


def own_classes() -> Iterator[type]:
    """Yield the classes of the package."""
    for module in pkgutil.walk_packages(tokenauth.__path__, "tokenauth."):
        for cls in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(cls) and cls.__module__ == module.name:
                yield cls


def inherited_names(path: Path) -> set[str]:
    """Return the private names that the classes of a module have of ours."""
    module = ".".join(("tokenauth", *path.with_suffix("").parts))
    bases = {
        base
        for cls in own_classes()
        if cls.__module__ == module
        for base in cls.__mro__[1:]
        if base.__module__.startswith("tokenauth.")
    }
    return {name for base in bases for name in _names_of(base) if is_private(name)}


def overridden_names(cls: type) -> Iterator[str]:
    """Yield the private names of a class that a class of another package has, too.

    Fields that only `__init__` sets count as well.
    """
    own = _names_of(cls)
    for base in cls.__mro__[1:]:
        package = base.__module__.partition(".")[0]
        if package not in {"tokenauth", *sys.stdlib_module_names}:
            yield from (name for name in own & _names_of(base) if is_private(name))


def _names_of(cls: type) -> set[str]:
    """Return what a class defines, with the fields that its methods set."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError):  # a class made in C
        return set(vars(cls))
    return own_names(tree) | set(vars(cls))


def leans() -> dict[str, set[str]]:
    """Return the private names of others, with the modules that use them."""
    found: dict[str, set[str]] = {}
    for path in SOURCES:
        inherited = inherited_names(path)
        for name in foreign_names((PACKAGE / path).read_text()):
            if name not in inherited:
                found.setdefault(str(name), set()).add(str(path))
    for cls in own_classes():
        for name in overridden_names(cls):
            found.setdefault(name, set()).add(cls.__module__)
    return found


def test_no_private_name_of_another_package_is_used_but_those_listed() -> None:
    """None is read, overridden, imported, or named in a string; and each listed is."""
    used = leans()
    assert {name: used[name] for name in used.keys() - PRIVATE} == {}
    assert set(PRIVATE) - used.keys() == set(), "an entry goes with its last use"


@pytest.mark.parametrize(
    ("planted", "name"),
    [
        ("manager._load_user()", "_load_user"),
        ("self._load_user()", "_load_user"),
        ("'_login_user' in g", "_login_user"),
        ("getattr(g, '_login_user')", "_login_user"),
        ("from flask.globals import _cv_app", "_cv_app"),
        ("from flask._compat import x", "_compat"),
        ("import flask._compat", "_compat"),
        ("session['_user_id']", "_user_id"),
    ],
)
def test_a_planted_private_name_is_found(planted: str, name: str) -> None:
    """The search sees what it is for."""
    assert list(foreign_names(planted)) == [name]


@pytest.mark.parametrize(
    "harmless",
    [
        "def _ours(): ...\nmodule._ours",
        "class A:\n    def f(self):\n        self._x = 1\n        return self._x",
        "from . import _ours\n_ours()",
        "x.__class__, '__init__', '_', 'a_b'",
    ],
)
def test_a_private_name_of_our_own_is_no_slip(harmless: str) -> None:
    """What a module defines, it may use."""
    assert list(foreign_names(harmless)) == []


def test_a_planted_override_is_found() -> None:
    """A method or a field of the same name as one of the base class's."""

    class Planted(LoginManager):
        def __init__(self) -> None:
            self._user_callback = None

        def _load_user(self) -> None: ...

    assert set(overridden_names(Planted)) >= {"_load_user", "_user_callback"}


# -- nothing is replaced ---------------------------------------------------------------

THEIRS = {"app", "current_app", "ctx", "context", "request_ctx", "app_ctx", "request"}
DOCUMENTED = {  # by Flask, as to be set
    "session_interface",
    "max_content_length",
}
LISTS = re.compile(
    r"(request|processor)(_\w+)?_(funcs|processors)|view_functions|_funcs"
)


def replacements(source: str) -> Iterator[str]:
    """Yield where a source replaces something of an application, a context or `g`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            is_slip = _is_set(node) or node.attr in {"__code__", "__wrapped__"}
        else:
            is_slip = isinstance(node, ast.Call) and _replaces(node)
        if is_slip:
            yield ast.unparse(node)


def _is_set(node: ast.Attribute) -> bool:
    if not isinstance(node.ctx, ast.Store | ast.Del):
        return False
    holder = ast.unparse(node.value).rpartition(".")[2]
    is_theirs = holder in THEIRS and node.attr not in DOCUMENTED
    return is_theirs or node.attr in {"__class__", "__dict__"}


def _replaces(call: ast.Call) -> bool:
    called = ast.unparse(call.func)
    first = ast.unparse(call.args[0]) if call.args else ""
    if called == "object.__setattr__":
        return True
    if called in {"setattr", "delattr", "vars"}:
        return first.rpartition(".")[2] in THEIRS
    holder, _, method = called.rpartition(".")
    changes = {"remove", "insert", "clear", "pop", "append"}
    return method in changes and LISTS.search(holder) is not None


def test_nothing_of_an_application_is_replaced_at_run_time() -> None:
    """No method of an application, a context, a request; no class of `g`."""
    found = {path: list(replacements((PACKAGE / path).read_text())) for path in SOURCES}
    assert {path: slip for path, slip in found.items() if slip} == {}


@pytest.mark.parametrize(
    "planted",
    [
        "app.preprocess_request = ours",
        "self.app.request_context = ours",
        "del app.request_context",
        "app.wsgi_app = ours(app.wsgi_app)",
        "setattr(app, name, ours)",
        "g.__class__ = Ours",
        "object.__setattr__(g, '__class__', Ours)",
        "ctx.session = {}",
        "app.after_request_funcs[None].remove(theirs)",
        "app.view_functions.pop('x')",
        "view.__code__ is other.__code__",
        "request_ctx.__wrapped__",
        "vars(request_ctx)['x'] = 1",
    ],
)
def test_a_planted_replacement_is_found(planted: str) -> None:
    """The search sees what it is for."""
    assert list(replacements(planted))


@pytest.mark.parametrize(
    "harmless",
    [
        "app.session_interface = ours",
        "g.user = 1",
        "setattr(g, NAME, 1)",
        "self.x = 1",
        "app.config['X'] = 1",
    ],
)
def test_what_flask_documents_is_no_replacement(harmless: str) -> None:
    """The session interface, names on `g`, settings."""
    assert list(replacements(harmless)) == []


# -- the contract of the neighbours ----------------------------------------------------


def test_each_listed_name_has_a_test_of_its_own() -> None:
    """A test below, which fails when a new release moves what the entry names."""
    tests: dict[str, Any] = globals()
    assert [name for name in PRIVATE if f"test_contract{name}" not in tests] == []


def test_contract_get_current_object() -> None:
    """A proxy gives its object."""
    app = Flask("app")
    with app.app_context():
        assert current_app._get_current_object() is app  # type: ignore[attr-defined]


class Recording(LoginManager):
    """Notes which of its methods Flask-Login calls, and with what."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, Any]] = []

    def _load_user(self) -> Any:
        self.calls.append(("_load_user", None))
        return super()._load_user()

    def _update_request_context_with_user(self, user: Any = None) -> Any:
        self.calls.append(("_update_request_context_with_user", user))
        return super()._update_request_context_with_user(user)

    def _update_remember_cookie(self, response: Response) -> Response:
        self.calls.append(("_update_remember_cookie", None))
        updated: Response = super()._update_remember_cookie(response)
        return updated

    def _set_cookie(self, response: Response) -> None:
        self.calls.append(("_set_cookie", session["_user_id"]))
        super()._set_cookie(response)


@pytest.fixture
def plain() -> tuple[Flask, Recording]:
    """An application with Flask-Login alone, whose manager notes what is called."""
    app, manager = Flask("plain"), Recording()
    app.secret_key = "plain"
    manager.init_app(app)
    manager.user_loader(lambda user_id: User("alice", id=user_id))
    app.get("/who", endpoint="who")(lambda: str(current_user.get_id()))
    app.post("/in", endpoint="in")(lambda: str(login_user(User("alice", id="a"))))
    app.post("/out", endpoint="out")(lambda: str(logout_user()))
    return app, manager


def test_contract_load_user(plain: tuple[Flask, Recording]) -> None:
    """`current_user` calls it, once a request, and it asks the cookie first."""
    app, manager = plain
    client = app.test_client()
    manager.request_loader(lambda _: User("bob", id="b"))
    assert client.get("/who").text == "b"
    assert [name for name, _ in manager.calls].count("_load_user") == 1
    client.post("/in")
    assert client.get("/who").text == "a"


def test_contract_update_request_context_with_user(
    plain: tuple[Flask, Recording],
) -> None:
    """`login_user` gives it the user, `logout_user` nobody."""
    app, manager = plain
    client = app.test_client()

    def given() -> list[Any]:
        name = "_update_request_context_with_user"
        found = [user for called, user in manager.calls if called == name]
        manager.calls.clear()
        return [user and user.get_id() for user in found]

    client.post("/in")
    assert given()[-1] == "a"
    client.post("/out")
    assert given()[-1] is None


def test_contract_update_remember_cookie(plain: tuple[Flask, Recording]) -> None:
    """It is called for each response, with the response, and returns one."""
    app, manager = plain
    assert app.test_client().get("/who").status_code == 200
    assert manager.calls[-1] == ("_update_remember_cookie", None)


def test_contract_set_cookie(plain: tuple[Flask, Recording]) -> None:
    """It is called for a login that is remembered, and for no other."""
    app, manager = plain
    alice, client = User("alice", id="a"), app.test_client()
    app.post("/keep", endpoint="keep")(lambda: str(login_user(alice, remember=True)))
    client.post("/in")
    assert "_set_cookie" not in dict(manager.calls)
    client.post("/keep")
    assert manager.calls[-1] == ("_set_cookie", "a")


def test_contract_user_id(plain: tuple[Flask, Recording]) -> None:
    """The id is in the session from a login on, and in the remember cookie."""
    app, _ = plain
    with app.test_request_context("/"):
        login_user(User("alice", id="a"))
        assert session["_user_id"] == "a"
        logout_user()
        assert "_user_id" not in session


def test_contract_login_user(plain: tuple[Flask, Recording]) -> None:
    """The current user is kept on `g`, and looked up again where that is gone."""
    app, manager = plain
    with app.test_request_context("/"):
        login_user(User("alice", id="a"))
        assert g._login_user.get_id() == current_user.get_id() == "a"
        g.pop("_login_user")
        manager.calls.clear()
        assert current_user.get_id() == "a"
        assert manager.calls[0] == ("_load_user", None)


def test_contract_fresh(plain: tuple[Flask, Recording]) -> None:
    """`login_fresh` goes by it."""
    app, _ = plain
    with app.test_request_context("/"):
        assert not login_fresh()
        session["_fresh"] = True
        assert login_fresh()

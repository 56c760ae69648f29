"""Flask-Login's own tests, with our manager in place of its own.

The tests are those of the installed release's source distribution; those of a checkout
run as well where `FLASK_LOGIN_CHECKOUT` names its folder.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.harness.servers import outside_of_coverage

RELEASE = version("flask-login")

# Named decisions, by which a test of Flask-Login's own cannot pass.
EXCLUDED = {
    "test_no_user_loader_raises": "TokenAuth brings a loader of its own",
}

CONFTEST = '''
"""Flask-Login's manager is TokenAuth's here."""
import secrets

import flask_login
from tokenauth import TokenAuth


class Joined(type(TokenAuth().login_manager)):
    """The manager of an application with a TokenAuth, made as in these tests."""

    def __init__(self, app=None, add_context_processor=True):
        super().__init__()
        self._is_joining = False
        if app is not None:
            self.init_app(app, add_context_processor)

    def init_app(self, app, add_context_processor=True):
        if self._is_joining:
            return super().init_app(app, add_context_processor)
        app.extensions.pop("tokenauth", None)  # some tests join a second manager
        app.blueprints.pop("tokenauth", None)
        if hasattr(app, "login_manager"):
            del app.login_manager
        app.config.setdefault("TOKENAUTH_SECRET_KEY", secrets.token_hex(32))
        self._is_joining = True
        auth = TokenAuth()
        auth.login_manager = self
        auth.init_app(app, {})
        self._is_joining = False


flask_login.LoginManager = Joined
flask_login.login_manager.LoginManager = Joined
'''


def failures(tests: Path) -> set[str]:
    """Run a copy of Flask-Login's tests; return the names of those that fail."""
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir=.", "--tb=line"]
    command += ["-pno:cacheprovider", "-rf"]
    result = subprocess.run(
        [*command, "."],
        cwd=tests,
        env=outside_of_coverage() | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert " passed" in result.stdout, result.stdout + result.stderr
    return set(re.findall(r"^FAILED \S+::(\w+)", result.stdout, re.MULTILINE))


def check(tests: Path) -> None:
    """Assert that those fail that are excluded, and those that fail without us."""
    (tests / "conftest.py").write_text(CONFTEST)
    with_us = failures(tests)
    if with_us == set(EXCLUDED):
        return
    (tests / "conftest.py").unlink()
    assert with_us - failures(tests) == set(EXCLUDED)


@pytest.fixture
def released_tests(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The tests of the installed release, unpacked; downloaded once."""
    cache = request.config.cache
    assert cache is not None
    kept = cache.mkdir(f"flask-login-{RELEASE}")
    if not list(kept.glob("*.tar.gz")):
        download = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps"]
        download += ["--no-binary=flask-login", f"--dest={kept}"]
        subprocess.run([*download, f"Flask-Login=={RELEASE}"], check=True)
    (archive,) = kept.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    (tests,) = tmp_path.glob("*/tests")
    return tests


@pytest.mark.checkout
@pytest.mark.skipif("dev" in RELEASE, reason="this Flask-Login is no release")
def test_the_release_s_own_tests_pass(released_tests: Path) -> None:
    """Redirects, remember cookies, signals, session protection, decorators."""
    check(released_tests)


def test_a_checkout_s_own_tests_pass(tmp_path: Path) -> None:
    """The same of a version that is not out yet."""
    checkout = os.environ.get("FLASK_LOGIN_CHECKOUT")
    if not checkout:
        pytest.skip("FLASK_LOGIN_CHECKOUT names no checkout")
    check(Path(shutil.copytree(Path(checkout, "tests"), tmp_path / "tests")))

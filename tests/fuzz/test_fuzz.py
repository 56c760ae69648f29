"""What fuzzing found stays found: every known input runs again, without a fuzzer."""

from __future__ import annotations

import pytest

from tests.fuzz.readers import ISSUED
from tests.fuzz.targets import CORPUS, TARGETS
from tokenauth.tokens.signing import TokenSigner

KEPT = sorted(CORPUS.glob("*/*"))


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_run(name: str) -> None:
    """Each target takes the inputs that it begins with, and nothing at all."""
    for seed in [*TARGETS[name].seeds, b""]:
        TARGETS[name].run(seed)


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_runs(name: str) -> None:
    """Each input that once led somewhere new, or failed, is taken."""
    kept = list(TARGETS[name].corpus.iterdir())
    assert kept
    for path in kept:
        TARGETS[name].run(path.read_bytes())


def test_no_corpus_is_left_behind() -> None:
    """Every folder of the corpus belongs to a target."""
    assert {path.parent.name for path in KEPT} == set(TARGETS)


@pytest.mark.parametrize(
    ("name", "request_with"), [("token", b"%s"), ("api", b"GET /protected\nBearer %s")]
)
def test_a_target_notices_a_forged_token(
    name: str, request_with: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the signature not looked at, the first changed token would tell."""
    forged = request_with % (ISSUED["access"][:-4] + "AAAA").encode()
    TARGETS[name].run(forged)
    monkeypatch.setattr(TokenSigner, "verify_signature", lambda *_: True)
    with pytest.raises(AssertionError):
        TARGETS[name].run(forged)


def test_a_target_notices_a_5xx(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that is not ours ends the run."""
    login = next(seed for seed in TARGETS["api"].seeds if b"/auth/login" in seed)
    TARGETS["api"].run(login)
    monkeypatch.setattr("tokenauth.web.api.logins.client_name", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        TARGETS["api"].run(login)

"""New passwords: long enough, and not what is guessed first."""

from __future__ import annotations

import logging
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from tests.harness.kit import PASSWORDS, assert_problem, bearer, log_in, make_app
from tokenauth import PasswordRefusedError, StoreUnavailableError
from tokenauth.accounts.policy import PasswordPolicy
from tokenauth.errors import ConfigurationError


def refusal(password: str, account: str = "", **policy: Any) -> str | None:
    try:
        PasswordPolicy(**policy).check(password, account)
    except PasswordRefusedError as error:
        return error.rule
    return None


@pytest.mark.parametrize(
    ("password", "rule"),
    [
        ("q7#kd0z", "too_short"),
        ("q7#kd0zp", None),
        ("𝕒𝕓𝕔𝕕𝕖𝕗𝕘", "too_short"),
        ("𝕢𝟟#𝕜𝕕𝟘𝕫𝕡", None),
        ("a mule at a staple " * 53 + "q7#kd0zp7#kd0zpqx", None),
        ("a mule at a staple " * 53 + "q7#kd0zp7#kd0zpqxq", "too_long"),
        ("é mule at a staple " + "é" * 502, None),
        ("é mule at a staple " + "é" * 503, "too_long"),
        ("q7#\ud800kd0zp", None),  # hashing refuses it, by its own name
        ("q7#k d0\0p", None),
        ("lower case only, and long", None),
        ("83046172950", None),
    ],
)
def test_length_is_the_only_rule_of_composition(
    password: str, rule: str | None
) -> None:
    """Eight characters to 1024 bytes, whichever they are."""
    assert refusal(password) == rule


@pytest.mark.parametrize(
    "password",
    [
        *("password", "12345678", "TrustNo1", "iloveyou", "qwertyuiop", "Password1!"),
        *("P@ssw0rd", "abcdefgh", "shop1234", "Michael1987", "qazwsxedc", "11.11.2011"),
        *("aaaaaaaa", "        ", "qz" * 512, "é" * 512, "1qaz2wsx3edc"),
    ],
)
def test_what_is_guessed_first_is_refused(password: str) -> None:
    """Common passwords and names, dates, rows of keys, repetitions (ASVS 6.2.4)."""
    assert refusal(password) == "common"


@pytest.mark.parametrize("alphabet", ["4@8({[<3691!|70$5+%2", "a4@", "x"])
def test_judging_a_password_takes_bounded_time(alphabet: str) -> None:
    """Whatever is sent: of 1024 such characters zxcvbn would never return."""
    password = "".join(random.Random(3).choices(alphabet, k=1024))
    begun = time.process_time()
    refusal(password)
    assert time.process_time() - begun < 2


def test_the_list_is_long_enough() -> None:
    """ASVS 6.2.4: the 3000 commonest that fit the policy, for longer minima as well."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    fitting = [word for word in FREQUENCY_LISTS["passwords"] if len(word) >= 8]
    assert len(fitting) >= 3000
    assert all(refusal(word) == "common" for word in fitting[:3000])


@pytest.mark.parametrize(
    ("account", "password", "rule"),
    [
        ("johannes.doe", "johannes.doe", "username"),
        ("johannes.doe", "Johannes.DOE", "username"),
        ("johannes.doe", "ｊohannes.doe", "username"),
        ("johannes.doe", "johannes.doe1", "username"),
        ("johannes", "19johannes77", "username"),
        ("johannes", "johannesjohannes", "username"),
        ("johannes", "johannes rides on", None),
        ("al", "al pine walks", None),
        ("abababab", "abababab", "username"),
        ("johannes@example.com", "johannes@example.com1", "username"),
        ("johannes@example.com", "johannes77", "username"),
        ("johannes@example.com", "example rides on", None),
    ],
)
def test_the_username_makes_no_password(
    account: str, password: str, rule: str | None
) -> None:
    """Nor with a few characters around it; in a long password it does no harm."""
    assert refusal(password, account) == rule


@pytest.mark.parametrize(
    ("realm", "password", "rule"),
    [
        ("AcmePortal", "acmeportal", "common"),
        ("AcmePortal", "ACMEportal2026", "common"),
        ("AcmePortal", "acmeportal for me", "common"),
        ("AcmePortal", "acmeportal rides on", None),
        ("shop", "shop 1234 shop", None),
        ("long-shop", "short-shop", None),
    ],
)
def test_the_application_s_name_makes_no_password(
    realm: str, password: str, rule: str | None
) -> None:
    """It is guessed first, too (ASVS 6.2.11), unless it is in words by chance."""
    assert refusal(password, realm=realm) == rule


def test_an_application_s_policy_knows_its_name() -> None:
    """Its realm."""
    app = make_app(config={"TOKENAUTH_REALM": "AcmePortal"})
    client = app.test_client()
    body = {"current_password": PASSWORDS["alice"], "new_password": "AcmePortal1"}
    headers = bearer(log_in(client)["access_token"])
    refused = client.post("/auth/password", json=body, headers=headers)
    assert_problem(refused, 422, "password_refused")
    assert "application" in refused.get_json()["detail"]


@given(st.text(min_size=20, max_size=200), st.text(max_size=20))
def test_any_long_text_is_judged_without_an_error(password: str, account: str) -> None:
    """Whatever characters it has."""
    assert refusal(password, account) in {None, "username", "common"}


def test_a_breach_check_decides_last() -> None:
    """It is asked with the password, and only about those that are good otherwise."""
    asked: list[str] = []

    def is_breached(password: str) -> bool:
        asked.append(password)
        return "horse" in password

    assert refusal("short", is_breached=is_breached) == "too_short"
    assert refusal("password", is_breached=is_breached) == "common"
    assert refusal("a horse at a staple", is_breached=is_breached) == "breached"
    assert refusal("a mule at a staple", is_breached=is_breached) is None
    assert asked == ["a horse at a staple", "a mule at a staple"]


def test_a_breach_check_that_fails_lets_no_password_pass(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Fail closed, and log no more than the kind of failure."""

    def is_breached(password: str) -> bool:
        raise TimeoutError(f"no answer about {password}")

    with (
        caplog.at_level(logging.ERROR, "tokenauth"),
        pytest.raises(StoreUnavailableError) as caught,
    ):
        PasswordPolicy(is_breached=is_breached).check("a mule at a staple")
    assert caught.value.__context__ is None
    assert "TimeoutError" in caplog.text
    assert "mule" not in caplog.text


def change(new: str, **config: Any) -> TestResponse:
    client = make_app(config=config).test_client()
    return client.post(
        "/auth/password",
        json={"current_password": PASSWORDS["alice"], "new_password": new},
        headers=bearer(log_in(client)["access_token"]),
    )


@pytest.mark.parametrize(
    ("new", "rule"),
    [
        ("q7#kd0z", "too_short"),
        ("x" * 1025, "too_long"),
        ("alice123", "username"),
        ("TrustNo1", "common"),
        ("a horse at a staple", "breached"),
    ],
)
def test_a_refused_password_names_its_rule(new: str, rule: str) -> None:
    """422, the rule by name and in words, and never the password."""
    answer = change(new, TOKENAUTH_PASSWORD_BREACH_CHECK=lambda _: True)
    assert_problem(answer, 422, "password_refused")
    assert answer.get_json()["rule"] == rule
    assert new not in answer.text


def test_no_other_problem_has_a_rule() -> None:
    """It belongs to `password_refused`."""
    answer = make_app().test_client().get("/auth/me")
    assert "rule" not in answer.get_json()


def test_a_failing_breach_check_answers_503() -> None:
    """The password stays as it was."""

    def is_breached(_: str) -> bool:
        raise OSError

    answer = change("a mule at a staple", TOKENAUTH_PASSWORD_BREACH_CHECK=is_breached)
    assert_problem(answer, 503, "store_unavailable")


def test_a_breach_check_that_is_no_function_stops_the_start() -> None:
    """And is refused by name."""
    with pytest.raises(ConfigurationError, match="TOKENAUTH_PASSWORD_BREACH_CHECK"):
        make_app(config={"TOKENAUTH_PASSWORD_BREACH_CHECK": "https://"})


def test_the_list_is_read_when_the_first_password_is_changed(tmp_path: Path) -> None:
    """Whoever only logs in or verifies tokens holds no megabytes of it."""
    code = (
        "import sys, tokenauth.demo as d;"
        "d.create_app({'SECRET_KEY': 'k7Qx9ZbLw3RtY8uEo1Pa5Sd6Fg2Hj4Kl'});"
        "assert 'zxcvbn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)

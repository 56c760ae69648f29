"""Usernames: all spellings of a name are one."""

from __future__ import annotations

import time
import unicodedata
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.kit import make_users
from tokenauth import DictUserStore, InvalidRequestError, User
from tokenauth.accounts.names import MAX_USERNAME_LENGTH, fold_username, folded_name


@pytest.mark.parametrize(
    ("username", "folded"),
    [
        ("JohnDoe", "johndoe"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("ｊｏｈｎ", "john"),
        ("ﬁona", "fiona"),
        ("İ", "i̇"),
        ("a" * MAX_USERNAME_LENGTH, "a" * MAX_USERNAME_LENGTH),
        ("", None),
        ("   ", None),
        ("ann@example.com ", "ann@example.com"),
        ("\u3000ann@example.com\u00a0\n", "ann@example.com"),
        ("John Doe", "john doe"),
        ("a" * (MAX_USERNAME_LENGTH + 1), None),
        ("nul\x00", None),
        ("line\nbreak", None),
        ("zero\u200bwidth", None),
        ("soft\u00adhyphen", None),
        ("right\u202eleft", None),
        ("\ud800", None),
    ],
)
def test_all_spellings_of_a_name_are_one(username: str, folded: str | None) -> None:
    """NFKC, case folding, no outer white space; what cannot be a name is nobody's."""
    assert fold_username(username) == folded
    if folded is not None:
        assert fold_username(folded) == folded


FORMS: list[Literal["NFC", "NFD", "NFKC", "NFKD"]] = ["NFC", "NFD", "NFKC", "NFKD"]


@given(st.text(max_size=MAX_USERNAME_LENGTH))
def test_folding_is_final(username: str) -> None:
    """What is folded folds to itself, and so do all its other spellings."""
    folded = fold_username(username)
    spellings = [unicodedata.normalize(form, username) for form in FORMS]
    for spelling in [folded or "", *spellings]:
        is_long = len(spelling) > MAX_USERNAME_LENGTH
        assert fold_username(spelling) == (None if is_long else folded)


@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_may_be_asked_for(username: str) -> None:
    """A name that is nobody's is an answer, not an error."""
    folded = fold_username(username)
    assert (
        folded is None
        or make_users().find(folded) is None
        or folded in {"alice", "bob"}
    )


@pytest.mark.advisory("Django CVE-2023-46695")
def test_a_long_name_is_refused_before_it_is_normalised() -> None:
    """CVE-2023-46695: normalising combining marks takes quadratic time."""
    begun = time.process_time()
    assert fold_username("e" + "\u0301" * 200_000) is None
    assert time.process_time() - begun < 0.2


def test_a_name_that_nobody_can_have_is_refused_by_the_rule() -> None:
    """For a new user, in words, and without the name."""
    assert folded_name(" JohnDoe\u3000") == "johndoe"
    with pytest.raises(InvalidRequestError, match="1 to 254 characters"):
        folded_name("nul\x00")


@pytest.mark.parametrize("wrong", [5, None, b"ann"])
def test_what_is_no_text_is_no_name(wrong: Any) -> None:
    """An application's mistake, which is named: a key of its users, a missing field."""
    said = f"must be text, not {type(wrong).__name__}"
    for use in (
        fold_username,
        folded_name,
        lambda name: DictUserStore({name: User(name)}),
    ):
        with pytest.raises(TypeError, match=said):
            use(wrong)

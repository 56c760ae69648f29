"""Bodies, without a server before them and beside hooks that read them first."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress

import pytest
from flask import Flask, Request, request
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder

from tests.harness.kit import PASSWORDS, bearer, make_app, make_users, token_of
from tokenauth.errors import (
    InvalidRequestError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)
from tokenauth.web.api.bodies import (
    FORM,
    JSON,
    MAX_BODY_BYTES,
    keep_body,
    read_body,
)
from tokenauth.web.api.schemas import LoginRequest, RefreshRequest, TokenForm

GOOD = b'{"refresh_token":"a.b"}'


def make_request(
    body: bytes | io.RawIOBase,
    *,
    media_type: str = JSON,
    length: int | None = None,
) -> Request:
    """Make a request; without a length, its body comes in chunks."""
    environ = EnvironBuilder("/", method="POST").get_environ()
    environ["CONTENT_TYPE"] = media_type
    environ["wsgi.input"] = io.BytesIO(body) if isinstance(body, bytes) else body
    environ["wsgi.input_terminated"] = True
    environ.pop("CONTENT_LENGTH", None)
    if length is not None:
        environ["CONTENT_LENGTH"] = str(length)
    return Request(environ)


class BrokenChunk(io.RawIOBase):
    """What a server hands over when the client's chunks are broken."""

    def readinto(self, _: object) -> int:
        raise RuntimeError("server's own")


@pytest.mark.parametrize("in_chunks", [True, False])
def test_a_body_may_have_16_kib(in_chunks: bool) -> None:
    """At the limit a body is read; one byte more, and it is refused as too large."""
    for extra in (0, 1):
        body = GOOD.ljust(MAX_BODY_BYTES + extra)
        made = make_request(body, length=None if in_chunks else len(body))
        if extra:
            with pytest.raises(PayloadTooLargeError):
                read_body(made, RefreshRequest)
        else:
            assert read_body(made, RefreshRequest).refresh_token == "a.b"


def test_a_large_body_is_refused_unread() -> None:
    """A length over the limit is enough to refuse; not one byte is read."""
    stream = BrokenChunk()
    with pytest.raises(PayloadTooLargeError):
        read_body(make_request(stream, length=10 << 20), RefreshRequest)


@pytest.mark.advisory("Werkzeug CVE-2023-25577, CVE-2023-46136")
def test_a_body_of_another_type_is_refused_unread() -> None:
    """Werkzeug CVE-2023-25577, CVE-2023-46136: no form parser sees a multipart body."""
    for media_type in ("multipart/form-data; boundary=x", "text/plain", ""):
        made = make_request(BrokenChunk(), media_type=media_type)
        with pytest.raises(UnsupportedMediaTypeError):
            read_body(made, RefreshRequest)


@pytest.mark.parametrize(
    "made",
    [make_request(BrokenChunk()), make_request(GOOD, length=len(GOOD) + 1)],
    ids=["broken chunk", "cut off"],
)
def test_a_broken_body_is_the_clients_mistake(made: Request) -> None:
    """A body that ends early is refused, also where what arrived looks complete."""
    with pytest.raises(InvalidRequestError) as caught:
        read_body(made, RefreshRequest)
    assert caught.value.__cause__ is None
    assert "server's own" not in caught.value.description


def test_an_unknown_field_is_answered_with_those_that_are_known() -> None:
    """The name that the client made up is not: it may be a password."""
    body = b'{"username":"a","password":"b","canary":1}'
    with pytest.raises(InvalidRequestError) as caught:
        read_body(make_request(body), LoginRequest)
    assert caught.value.description == (
        "The body has a field that this route does not know. It takes: username, "
        "password, label, scope, cookie."
    )


@pytest.mark.parametrize("in_chunks", [True, False])
def test_an_empty_body_is_called_so(in_chunks: bool) -> None:
    """It is what a client sends that forgot it."""
    with pytest.raises(InvalidRequestError, match="is empty: send a JSON object"):
        read_body(make_request(b"", length=None if in_chunks else 0), LoginRequest)


def test_an_empty_body_is_enough_where_no_field_is_needed() -> None:
    """A refresh by cookie has nothing to say, but its media type."""
    assert read_body(make_request(b""), RefreshRequest) == RefreshRequest()


def test_a_form_that_is_cut_off_is_refused() -> None:
    """A shorter token would be another token."""
    with pytest.raises(InvalidRequestError):
        read_body(make_request(b"token=abc", media_type=FORM, length=12), TokenForm)


@pytest.mark.advisory(
    "Flask CVE-2018-1000656, CVE-2019-1010083", "Devise CVE-2013-0233"
)
@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Flask CVE-2018-1000656: nothing but an error of our own comes out."""
    with suppress(InvalidRequestError):
        read_body(make_request(body), RefreshRequest)
    with suppress(InvalidRequestError):
        read_body(make_request(body, media_type=FORM), TokenForm)


# -- beside hooks of the application ---------------------------------------------------


def _ask(app: Flask, path: str, body: bytes, media_type: str) -> tuple[int, bytes]:
    asking = bearer(token_of(app, "bob"))
    answer = app.test_client().post(
        path, data=body, content_type=media_type, headers=asking
    )
    return answer.status_code, b"" if path == "/auth/login" else answer.data


LOGIN_BODY = b'{"username":"alice","password":"%s"}' % PASSWORDS["alice"].encode()
SENT = [
    ("/auth/login", LOGIN_BODY, JSON),
    ("/auth/login", LOGIN_BODY, FORM),
    ("/auth/login", LOGIN_BODY[:-1] + b',"username":"bob"}', JSON),
    ("/auth/login", LOGIN_BODY.ljust(MAX_BODY_BYTES + 1), JSON),
    ("/auth/refresh", GOOD, JSON),
    ("/auth/refresh", b"grant_type=refresh_token&refresh_token=a.b", FORM),
    ("/auth/introspect", b"token=a.b", FORM),
    ("/auth/introspect", b"token=a&token=b", FORM),
    ("/auth/introspect", b"token=%ff", FORM),
    ("/auth/revoke", b"token=" + b"a" * MAX_BODY_BYTES, FORM),
    ("/auth/revoke", b"token=a.b", "multipart/form-data; boundary=x"),
    ("/auth/logout", b"a=b", FORM),
]
HOOKS: dict[str, Callable[[], object]] = {
    "form": lambda: request.form.get("x"),
    "data": lambda: request.get_data(as_text=True),
    "json": lambda: request.get_json(silent=True),
    "values": lambda: request.values.get("x"),
    "files": lambda: request.files.get("x"),
}


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_reads_the_body_changes_no_answer(hook: str) -> None:
    """Request logs and method overrides read it first; every refusal stays."""
    users = make_users(bob=["introspect"])
    plain, hooked = make_app(users=users), make_app(users=users)
    hooked.before_request(lambda: (HOOKS[hook](), None)[1])
    for path, body, media_type in SENT:
        expected = _ask(plain, path, body, media_type)
        assert _ask(hooked, path, body, media_type) == expected, (path, body[:40])


def test_a_body_refused_before_a_hook_is_refused_after_it() -> None:
    """A second read of a broken body might find the rest of it."""
    made = make_request(BrokenChunk())
    keep_body(made)
    made.environ["wsgi.input"] = io.BytesIO(GOOD)
    made.__dict__.pop("stream", None)
    with pytest.raises(InvalidRequestError):
        read_body(made, RefreshRequest)

"""Whatever bytes arrive, on every supported server: no 5xx, no redirect, no cookie."""

from __future__ import annotations

import functools
import itertools
import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import psutil
import pytest

from tests.harness.hostile_app import GREEDY_HASHES
from tests.harness.kit import PASSWORDS
from tests.harness.raw_http import Answer, exchange, post, request
from tests.harness.servers import AppServer

MIB = 1 << 20
SERVERS: dict[str, dict[str, Any]] = {
    "sync": {"worker_class": "sync", "threads": 1},  # with more, gunicorn takes gthread
    "gthread": {"worker_class": "gthread"},
    "waitress": {"server": "waitress"},
}
CREDENTIALS = {"username": "alice", "password": PASSWORDS["alice"]}
LOGIN = json.dumps(CREDENTIALS).encode()


class Victim(NamedTuple):
    """A server with the application, and a token that it has issued."""

    server: AppServer
    token: str

    def answer(self, sent: bytes) -> Answer:
        answer = exchange(self.server.port, sent)
        assert_harmless(answer)
        return answer


def assert_harmless(answer: Answer) -> None:
    """Assert what holds for the answer to any bytes.

    501 is the servers' own word for a transfer coding that they do not know (RFC 9112
    section 6.1): the request never reaches the application.
    """
    assert all(status < 300 or 400 <= status <= 501 for status in answer.statuses)
    assert 500 not in answer.statuses
    assert b"set-cookie" not in answer.raw.lower()
    assert b"traceback" not in answer.raw.lower()


@pytest.fixture(scope="module")
def victim_of() -> Iterator[Callable[[str], Victim]]:
    """Each server, started when it is first asked for."""
    with ExitStack() as stack:

        @functools.cache
        def start(kind: str) -> Victim:
            server = AppServer(
                "tests.harness.hostile_app:create_app()", **SERVERS[kind]
            )
            stack.enter_context(server)
            answer = exchange(server.port, login(body=LOGIN))
            return Victim(server, answer.json["access_token"])

        yield start


@pytest.fixture(params=SERVERS)
def victim(
    request: pytest.FixtureRequest, victim_of: Callable[[str], Victim]
) -> Victim:
    return victim_of(request.param)


def login(*headers: str, body: bytes | None = None) -> bytes:
    return post("/auth/login", *headers, body=body)


def chunks(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + end


def chunked(raw: bytes, *headers: str) -> bytes:
    return login("Transfer-Encoding: chunked", *headers) + raw


# -- the Authorization header --------------------------------------------------------

TOKEN = "<token>"  # stands for the good token
HEADERS: dict[str, tuple[list[str], set[int]]] = {
    "good": ([f"Authorization: Bearer {TOKEN}"], {200}),
    "bare": ([f"Authorization: {TOKEN}"], {200}),
    "twice the same": ([f"Authorization: Bearer {TOKEN}"] * 2, {400}),
    "good and junk": (
        [f"Authorization: Bearer {TOKEN}", "Authorization: junk"],
        {400, 401},  # where joined without a space, it may be one token tampered with
    ),
    "junk and good": (
        ["Authorization: junk", f"Authorization: Bearer {TOKEN}"],
        {400},
    ),
    "Basic and good": (
        ["Authorization: Basic YTpi", f"Authorization: {TOKEN}"],
        {400},
    ),
    "a hundred": ([f"Authorization: {TOKEN}"] * 99, {400, 431}),
    "Basic, not ASCII": (["Authorization: Basic \xe9\xff"], {401}),
    "Bearer, not ASCII": (["Authorization: Bearer \xe9\xff"], {401}),
    "not ASCII after it": ([f"Authorization: Bearer {TOKEN}\xe9"], {401}),
    "only not ASCII": (["Authorization: " + "\xff" * 1000], {401}),
    "padded": ([f"Authorization: Bearer {TOKEN}="], {401}),
    "a second word": ([f"Authorization: Bearer {TOKEN} x"], {401}),
    "empty": (["Authorization:"], {401}),
    "Bearer alone": (["Authorization: Bearer"], {401}),
    "tab for the space": ([f"Authorization: Bearer\t{TOKEN}"], {401}),
    "tabs around": ([f"Authorization: \tBearer {TOKEN}\t"], {200}),
    "4 KiB": (["Authorization: Bearer " + "a." * 2049], {401}),
    "8000 bytes": (["Authorization: Bearer " + "a." * 3990], {401}),
    "200 kB": (["Authorization: Bearer " + "a." * 100_000], {401, 431}),
    "2 MiB": (["Authorization: Bearer " + "a" * 2 * MIB], {400, 431}),
    "200 kB of commas": (["Authorization: " + "a,b." * 50_000], {400, 401, 431}),
    "folded": ([f"Authorization: Bearer\r\n {TOKEN}"], {200, 400}),
    "folded with a tab": ([f"Authorization: Bearer\r\n\t{TOKEN}"], {400, 401}),
    "NUL": ([f"Authorization: Bearer {TOKEN}\x00"], {400}),
    "bare LF": ([f"Authorization: Bearer {TOKEN}\nX: y"], {400}),
    "bare CR": ([f"Authorization: Bearer {TOKEN}\rX: y"], {400}),
    "ESC": ([f"Authorization: Bearer \x1b[2J{TOKEN}"], {400, 401}),
    "space before the colon": ([f"Authorization : Bearer {TOKEN}"], {400}),
    "no colon": (["Authorization"], {400}),
    "the environment's name": ([f"HTTP-AUTHORIZATION: Bearer {TOKEN}"], {401}),
    "with underscores": ([f"Authorization_: Bearer {TOKEN}"], {401}),
    "500 headers": (["X-A: b"] * 500, {401, 431}),
    "hostile cookies": (
        [
            f"Authorization: Bearer {TOKEN}",
            "Cookie: session=\xff\xfe; remember_token=; \x01=\x02",
        ],
        {200, 400},
    ),
    "hostile Accept": (["Accept: text/html;q=\xff, */*;q=nan;q=1e999"], {401}),
}


@pytest.mark.advisory("Authlib CVE-2025-61920, golang-jwt CVE-2025-30204")
def test_headers(victim: Victim) -> None:
    """Of all that an Authorization header can hold, only the token opens."""
    for name, (headers, statuses) in HEADERS.items():
        sent = [header.replace(TOKEN, victim.token) for header in headers]
        answer = victim.answer(request("/protected", *sent))
        assert answer.status in statuses, name
        if answer.status == 401:
            assert "\r\nwww-authenticate: bearer" in answer.head.lower(), name
            assert answer.json["code"] in {"token_missing", "token_invalid"}, name


# -- lengths, chunks and other framing -----------------------------------------------

FRAMES: dict[str, tuple[bytes, set[int | None]]] = {
    "chunked": (chunked(chunks(LOGIN)), {200}),
    "many chunks": (chunked(chunks(*[b"%c" % c for c in LOGIN])), {200}),
    "chunk of no size": (chunked(b"zz\r\n" + LOGIN + b"\r\n0\r\n\r\n"), {400}),
    "chunk of negative size": (chunked(b"-5\r\nabcde\r\n0\r\n\r\n"), {400}),
    "chunk size with 0x": (chunked(b"0x5\r\nabcde\r\n0\r\n\r\n"), {400}),
    "chunk size of 32 digits": (chunked(b"f" * 32 + b"\r\n" + LOGIN), {400, None}),
    "chunk size of 100 kB": (chunked(b"0" * 100_000 + b"5\r\nabcde"), {400, None}),
    "chunk without its end": (chunked(b"5\r\nabcdeXX0\r\n\r\n"), {400}),
    "chunk cut off": (chunked(b"50\r\nabc"), {400, None}),
    "no last chunk": (chunked(chunks(LOGIN, end=b"")), {400, None}),
    "broken last chunk": (chunked(chunks(LOGIN, end=b"0\r\nX")), {400, None}),
    "chunk extension": (chunked(b"5;a=b\r\nabcde\r\n0\r\n\r\n"), {400}),
    "extension of 100 kB": (
        chunked(b"5;" + b"a" * 100_000 + b"\r\nabcde"),
        {400, None},
    ),
    "trailer": (chunked(chunks(LOGIN, end=b"0\r\nA: x\r\n\r\n")), {200}),
    "Authorization as a trailer": (
        chunked(chunks(LOGIN, end=b"0\r\nAuthorization: x\r\n\r\n")),
        {200, 400},
    ),
    "chunked twice": (chunked(chunks(LOGIN), "Transfer-Encoding: chunked"), {200, 400}),
    "unknown coding": (login("Transfer-Encoding: banana"), {501}),
    "gzip, chunked": (
        login("Transfer-Encoding: gzip, chunked") + chunks(LOGIN),
        {200, 501},
    ),
    "length and chunks": (
        login("Transfer-Encoding: chunked", body=chunks(LOGIN)),
        {200, 400},
    ),
    "length not a number": (login("Content-Length: abc"), {400}),
    "negative length": (login("Content-Length: -1"), {400}),
    "length with a sign": (login("Content-Length: +5") + b"12345", {400}),
    "length with underscore": (
        login("Content-Length: 1_0") + b"1234567890",
        {400},
    ),
    "length twice": (login(f"Content-Length: {len(LOGIN)}", body=LOGIN), {400}),
    "two lengths": (login("Content-Length: 3", body=LOGIN), {400}),
    "length of 4000 digits": (login("Content-Length: " + "9" * 4000), {400, 413}),
    "length too long": (
        login(f"Content-Length: {len(LOGIN) + 9}") + LOGIN,
        {400, None},
    ),
    "length too short": (login("Content-Length: 5") + LOGIN, {400}),
    "no length": (login(), {400}),
    "10 MiB": (login(body=b"x" * 10 * MIB), {413}),
    "10 MiB of JSON": (
        login(body=b'{"username": "%s"}' % (b"x" * 10 * MIB)),
        {413},
    ),
    "10 MiB in chunks": (chunked(chunks(*[b"x" * 65536] * 160)), {413}),
    "10 MiB in one chunk": (chunked(chunks(b"x" * 10 * MIB)), {413}),
    "10 MiB where none is read": (request("/auth/me", body=b"x" * 10 * MIB), {401}),
    "one byte too many": (login(body=LOGIN.ljust(16385)), {413}),
    "one byte too many in chunks": (chunked(chunks(LOGIN.ljust(16385))), {413}),
    "as much as allowed": (login(body=LOGIN.ljust(16384)), {200}),
    "as much as allowed in chunks": (chunked(chunks(LOGIN.ljust(16384))), {200}),
    "100-continue": (login("Expect: 100-continue", body=LOGIN), {200}),
    "100-continue, 10 MiB": (
        login("Expect: 100-continue", body=b"x" * 10 * MIB),
        {413},
    ),
    "unknown expectation": (login("Expect: banana", body=LOGIN), {200, 417}),
    "HTTP/1.0": (login(body=LOGIN).replace(b"HTTP/1.1", b"HTTP/1.0"), {200}),
    "HTTP/0.9": (b"GET /protected\r\n\r\n", {400, 401}),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 404}),
    "HTTP/9.9": (request(version="9.9"), {400, 401}),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), {400, None}),
    "all bytes": (bytes(range(256)) * 10, {400, None}),
    "nothing": (b"", {None}),
}


def test_frames(victim: Victim) -> None:
    """A body that is too long, cut off or oddly framed is refused as what it is."""
    for name, (sent, statuses) in FRAMES.items():
        answer = victim.answer(sent)
        assert answer.status in statuses, name
        if answer.status == 413 and b"problem+json" in answer.raw:
            assert answer.json["code"] == "payload_too_large", name


@pytest.mark.advisory(
    "gunicorn CVE-2018-1000164, waitress CVE-2019-16785, CVE-2022-24761"
)
def test_a_request_hidden_in_a_body_is_not_answered(victim: Victim) -> None:
    """Length and chunks disagree: what follows is a body or nothing, never a request.

    waitress CVE-2019-16785, 16786, 16789, 16792, CVE-2022-24761; gunicorn
    CVE-2018-1000164.
    """
    hidden = request("/protected", f"Authorization: Bearer {victim.token}")
    for headers in (
        ["Transfer-Encoding: chunked", "Content-Length: 4"],
        ["Content-Length: 4", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding : chunked", f"Content-Length: {len(hidden)}"],
        ["Transfer-Encoding: xchunked", f"Content-Length: {len(hidden)}"],
    ):
        answer = victim.answer(login(*headers) + chunks(LOGIN) + hidden)
        assert len(answer.statuses) == 1, headers
        assert b"alice" not in answer.raw


def test_a_slow_body_gets_its_answer(victim: Victim) -> None:
    """A client that sends byte by byte is waited for, and then answered."""
    head, body = login(f"Content-Length: {len(LOGIN)}"), LOGIN

    def drip() -> Iterator[bytes]:
        yield head
        for i in range(0, len(body), 8):
            time.sleep(0.02)
            yield body[i : i + 8]

    answer = exchange(victim.server.port, drip())
    assert_harmless(answer)
    assert answer.status == 200


# -- what the body holds -------------------------------------------------------------


def fields(**changed: object) -> bytes:
    return json.dumps(CREDENTIALS | changed, ensure_ascii=False).encode()


BODIES: dict[str, tuple[bytes, set[int]]] = {
    "16 KiB deep": (b"[" * 16384, {400}),
    "deep in a field": (b'{"username":' + b"[" * 16000, {400}),
    "deep in an unknown field": (b'{"x":' + b'{"x":' * 3000, {400}),
    "escaped surrogate": (rb'{"username":"alice","password":"\ud800"}', {400}),
    "escaped surrogate and more": (rb'{"username":"\ud800a","password":"a"}', {400}),
    "low surrogate first": (rb'{"username":"\udc00\ud800","password":"a"}', {400}),
    "surrogate as bytes": (b'{"username":"\xed\xa0\x80","password":"a"}', {400}),
    "not UTF-8": (b'{"username":"\xff\xfe","password":"a"}', {400}),
    "overlong": (b'{"username":"\xc0\xaf","password":"a"}', {400}),
    "UTF-16": (LOGIN.decode().encode("utf-16"), {400}),
    "UTF-32": (LOGIN.decode().encode("utf-32"), {400}),
    "byte order mark": (b"\xef\xbb\xbf" + LOGIN, {400}),
    "NUL in the name": (rb'{"username":"alice\u0000","password":"a"}', {401}),
    "NUL in the password": (rb'{"username":"alice","password":"\u0000"}', {401}),
    "raw NUL": (b'{"username":"a\x00","password":"a"}', {400}),
    "5000 combining marks": (fields(username="\u0344" * 5000), {401}),
    "128 expanding letters": (fields(username="\ufdfa" * 128), {401}),
    "200 000 combining marks": (fields(username="\u0344" * 200_000), {413}),
    "password of 16 kB": (fields(password="p" * 16_000), {401}),
    "password of 1 MB": (fields(password="p" * MIB), {413}),
    "empty name and password": (fields(username="", password=""), {401}),
    "names of another type": (b'{"username":5,"password":["a"]}', {400}),
    "null": (b"null", {400}),
    "a field twice": (LOGIN[:-1] + b',"username":"bob"}', {400}),
    "a field twice, escaped": (LOGIN[:-1] + rb',"\u0075sername":"bob"}', {400}),
    "unknown field": (LOGIN[:-1] + b',"is_admin":true}', {400}),
    "integer of 5000 digits": (LOGIN[:-1] + b',"label":' + b"9" * 5000 + b"}", {400}),
    "NaN": (LOGIN[:-1] + b',"label":NaN}', {400}),
    "1e999": (LOGIN[:-1] + b',"label":1e999}', {400}),
    "control character in the label": (fields(label="a\u009b31mb"), {400}),
    "trailing data": (LOGIN + b"\x00", {400}),
    "empty": (b"", {400}),
    "spaces": (b" " * 16_000, {400}),
}


@pytest.mark.advisory(
    "Django CVE-2013-1443",
    "Flask CVE-2018-1000656, CVE-2019-1010083",
    "Devise CVE-2013-0233",
)
def test_bodies(victim: Victim) -> None:
    """A body that is not exactly what the route reads is refused, and quickly."""
    codes = {"invalid_request", "invalid_credentials", "payload_too_large"}
    for name, (body, statuses) in BODIES.items():
        began = time.monotonic()
        answer = victim.answer(login(body=body))
        assert answer.status in statuses, name
        assert answer.json["code"] in codes, name
        assert time.monotonic() - began < 5, name


TYPES = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json; charset=utf-16",
    "application/vnd.api+json",
    "application/json, text/plain",
    "\xff\xfe/\x01",
    "application/json\xff",
    "",
    "application/" + "x" * 7000,
)


def test_media_types(victim: Victim) -> None:
    """Only `application/json` logs in: other types cross sites without a preflight."""
    for name in TYPES:
        header = f"Content-Type: {name}"
        answer = victim.answer(
            request("/auth/login", header, method="POST", body=LOGIN)
        )
        assert answer.status in {400, 415}, name


@pytest.mark.advisory("a stored hash that asks for 4 GiB")
@pytest.mark.parametrize("name", GREEDY_HASHES)
def test_stored_hashes_that_ask_for_too_much(victim: Victim, name: str) -> None:
    """A stored hash that asks for 4 GiB costs what an ordinary one does."""
    worker = psutil.Process(victim.server.worker_pids()[0])
    began, before = time.monotonic(), worker.memory_info().rss
    answer = victim.answer(login(body=fields(username=name)))
    assert answer.status == 401
    assert answer.json["code"] == "invalid_credentials"
    assert time.monotonic() - began < 2
    assert worker.memory_info().rss - before < 64 * MIB


# -- addresses and methods -----------------------------------------------------------

TARGETS = (
    "/auth",
    "/auth/",
    "/auth/me/",
    "/auth//me",
    "//auth/me",
    "/auth/./me",
    "/auth/../auth/me",
    "/auth/%6de",
    "/auth/me%00",
    "/auth/me?",
    "/auth/me?next=//evil.example",
    "/auth/me?keep=%00&keep=%ff",
    "/auth/me?" + "&a" * 2000,
    "/AUTH/me",
    "/auth/sessions/",
    "/auth/sessions/..",
    "/auth/sessions/%00",
    "/auth/sessions/%ff%fe",
    "/auth/sessions/%ed%a0%80",
    "/auth/sessions/%0d%0aSet-Cookie:a=b",
    "/auth/sessions/" + "a" * 6000,
    "/auth/sessions/\xff\xfe",
    "/auth/tokens/%00",
    "http://evil.example/auth/me",
    "http://[/auth/me",
    "evil.example:443",
    "*",
    "?",
    "/%",
)
METHODS = (
    "GET",
    "POST",
    "DELETE",
    "HEAD",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "get",
    "\xe9",
)


HOSTS = ("evil.example", "ev\xffil", "<script>", "a b", "[::1", "x" * 6000, "", ":")


@pytest.mark.advisory(
    "Flask-Security CVE-2021-23385, CVE-2021-32618", "Werkzeug CVE-2020-28724"
)
def test_addresses_and_methods(victim: Victim) -> None:
    """No address and no method leads to a redirect, an error page or a reflection."""
    token = f"Authorization: Bearer {victim.token}"
    for target, method in itertools.product(TARGETS, METHODS):
        answer = victim.answer(request(target, token, method=method))
        assert b"\r\nlocation:" not in answer.raw.lower(), (method, target)
        assert b"\r\nset-cookie" not in answer.raw.lower(), (method, target)


def test_host_headers(victim: Victim) -> None:
    """The Host header decides nothing and is not repeated."""
    sent = b"GET /auth/me HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
    for host in HOSTS:
        answer = victim.answer(sent % host.encode("latin-1"))
        assert answer.status in {400, 401, 404}, host
        assert b"evil" not in answer.raw, host


# -- anything else -------------------------------------------------------------------


def mutated(seed: bytes, dice: random.Random) -> bytes:
    """Return a request with a few bytes inserted, deleted, replaced or repeated."""
    raw = bytearray(seed)
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(raw) + 1)
        raw[at : at + dice.choice((0, 0, 1, 4))] = dice.choice(
            (
                dice.randbytes(dice.randint(0, 4)),
                raw[at : at + dice.randint(0, 40)] * 2,
                b"\r\n",
                b" ",
                b"\xed\xa0\x80",
                b'"[{',
                b"%00",
            )
        )
    return bytes(raw)


def test_a_storm_of_mutated_requests(victim: Victim, is_full: bool) -> None:
    """Requests with a few bytes changed at random are answered or dropped, no more."""
    dice = random.Random(4)
    bearer = f"Authorization: Bearer {victim.token}"
    wrong = post("/auth/refresh", body=b'{"refresh_token":"a.b"}')
    seeds = [
        request("/protected", bearer),
        request("/auth/sessions/x", bearer, method="DELETE"),
        chunked(chunks(LOGIN[:9], LOGIN[9:-1])),  # no login: hashing takes its time
        post("/auth/password", bearer, body=b'{"current_password":"\\u00e9"}'),
        wrong,
    ]
    for _ in range(5000 if is_full else 150):
        answer = exchange(victim.server.port, mutated(dice.choice(seeds), dice))
        assert_harmless(answer)
    assert victim.answer(wrong).json["code"] == "invalid_grant"


def test_nothing_reaches_the_log_but_requests(victim: Victim) -> None:
    """No request that reached the application left a traceback or a token in the log.

    A line that gunicorn cannot parse it quotes itself, whatever it holds.
    """
    victim.answer(request("/protected", f"Authorization: Bearer {victim.token}"))
    lines = victim.server.log.splitlines()
    ours = "".join(line for line in lines if "Invalid request from ip=" not in line)
    assert "Traceback" not in ours
    assert victim.token not in ours


@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_gunicorn_runs_the_workers_that_are_asked_for(
    victim_of: Callable[[str], Victim], kind: str
) -> None:
    """These tests are about both kinds of workers, not about one of them twice."""
    assert f"Using worker: {kind}" in victim_of(kind).server.log

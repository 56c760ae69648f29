"""A site for browsers: pages and an API under several names, over HTTP or HTTPS."""

from __future__ import annotations

import threading
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask, Response, redirect, request
from flask_cors import CORS
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.harness.browser import in_browser, open_browser
from tests.harness.kit import PASSWORDS, Clock, make_app
from tests.harness.servers import HOST, free_port
from tokenauth import StoreUnavailableError

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page

# Two of one site, a sibling that an attacker has, and another site of the attacker's.
APP, API, SIBLING = "app.site.test", "api.site.test", "evil.site.test"
FOREIGN = "evil.test"

LOG_IN = f"auth.login('alice', {PASSWORDS['alice']!r})"
AS_BOB = f"auth.login('bob', {PASSWORDS['bob']!r})"
CALL = "auth.api('/protected', { cache: 'no-store' })"

PAGE = """<!doctype html><title>page</title><script type=module>
import * as auth from "{api}/auth/client.js";
window.changes = [];
auth.onChange((isIn) => window.changes.push(isIn));
window.auth = auth;
</script>"""


_GIVEN: set[int] = set()


def _new_port() -> int:
    """Return one that no site had before: its origins have stored nothing."""
    while (port := free_port()) in _GIVEN:
        pass
    _GIVEN.add(port)
    return port


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code: Any = "-", size: Any = "-") -> None: ...


class Site:
    """The application behind all names, its clock, and what it was asked for.

    The pages of the hosts that are allowed may use the API from there. An `app` is one
    that has all of its own, but for the pages.
    """

    def __init__(
        self,
        scheme: str,
        host: str,
        config: Mapping[str, Any] = MappingProxyType({}),
        *,
        allowed: Sequence[str] = (),
        app: Flask | None = None,
    ) -> None:
        self.port, self.scheme, self.host = _new_port(), scheme, host
        self.clock = Clock()
        self.failures = 0  # so many calls of `/flaky` are answered with 503
        self.log: list[str] = []
        self.meeting = threading.Barrier(2, timeout=20)
        self.tokens: list[str] = []
        origins = [self.at(host) for host in allowed]
        config = {"TOKENAUTH_REFRESH_COOKIE": True, "TESTING": False, **config}
        config["TOKENAUTH_ORIGINS"] = origins
        self.app = make_app(config=config) if app is None else app
        self.app.extensions["tokenauth"].clock.source = self.clock
        if allowed:
            CORS(self.app, origins=origins, supports_credentials=True)
        self._add_views()

    @property
    def url(self) -> str:
        return self.at(self.host)

    def at(self, host: str) -> str:
        return f"{self.scheme}://{host}:{self.port}"

    def requests(self) -> list[str]:
        """Return what was asked for since the last time, without pages and files."""
        seen, self.log[:] = self.log[:], []
        return sorted(seen)

    def expire(self) -> None:
        """Let all access tokens expire."""
        self.clock.move(3600)

    def _add_views(self) -> None:
        app = self.app

        @app.get("/")
        def page() -> str:
            return PAGE.format(api=request.args.get("api", ""))

        @app.get("/blank")
        def blank() -> str:
            return "<!doctype html><title>blank</title>"

        @app.route("/redirect", methods=["GET", "POST"])
        def to() -> Any:
            return redirect(request.args["to"], 307)

        @app.get("/flaky")
        def flaky() -> dict[str, int]:
            if self.failures:
                self.failures -= 1
                raise StoreUnavailableError(retry_after=1)
            return {"failures": self.failures}

        app.after_request(self._note)

    def _note(self, response: Response) -> Response:
        if request.path not in {"/", "/blank", "/favicon.ico", "/auth/client.js"}:
            self.log.append(f"{request.method} {request.path} {response.status_code}")
        if response.is_json and "access_token" in (answer := response.get_json()):
            self.tokens.append(answer["access_token"])
        if "meet" in request.args and response.status_code == 401:
            self.meeting.wait()
        return response

    @contextmanager
    def served(self, folder: Path) -> Iterator[Site]:
        """Serve it in threads of this process."""
        files = _certificate(folder) if self.scheme == "https" else None
        server = make_server(
            HOST,
            self.port,
            self.app,
            threaded=True,
            request_handler=Quiet,
            ssl_context=files,
        )
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


class Tabs:
    """The tabs of one browser."""

    def __init__(self, site: Site, browser: BrowserContext) -> None:
        self.site, self.browser = site, browser

    async def open(self, host: str = "", api: str = "") -> Page:
        base = self.site.at(host) if host else self.site.url
        page = await self.browser.new_page()
        await page.goto(f"{base}/?api={self.site.at(api) if api else ''}")
        await page.wait_for_function("() => window.auth")
        return page

    async def cookies(self) -> list[Any]:
        return await self.browser.cookies()


@asynccontextmanager
async def tabs_of(site: Site, **given: Any) -> AsyncGenerator[Tabs]:
    others = [site.at(host) for host in (APP, API, SIBLING, FOREIGN)]
    async with open_browser(site, *others, **given) as browser:
        yield Tabs(site, browser)


async def ask(page: Page, call: str) -> Any:
    """Make a call of the client file; return the status, and the user or the code."""
    return await page.evaluate(
        f"""async () => {{
            const answer = await {call};
            const body = await answer.json().catch(() => ({{}}));
            return [answer.status, body.user ?? body.code ?? null];
        }}"""
    )


def in_tabs(site: Site, story: Callable[[Tabs], Awaitable[None]], **given: Any) -> None:
    async def run() -> None:
        async with tabs_of(site, **given) as tabs:
            await story(tabs)

    in_browser(run())


def _certificate(folder: Path) -> tuple[str, str]:
    """Make a certificate for this test; return the files of it and of its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "site.test")])
    names = [x509.DNSName(name) for name in (APP, API, SIBLING, FOREIGN, "localhost")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    pem = serialization.Encoding.PEM
    certificate_file.write_bytes(certificate.public_bytes(pem))
    key_file.write_bytes(
        key.private_bytes(
            pem,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(certificate_file), str(key_file)

"""OpenTelemetry's instrumentation, of one application or of Flask's class itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from flask import Flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from tests.harness.servers import outside_of_coverage
from tests.neighbours.kit import Shop, credentials, join


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """What was recorded."""
    return InMemorySpanExporter()


@pytest.fixture
def shop(order: str, spans: InMemorySpanExporter) -> Iterator[Shop]:
    """An instrumented application."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    instrumentor = FlaskInstrumentor()

    def set_up(app: Flask) -> None:
        instrumentor.instrument_app(app, tracer_provider=provider)

    shop = join(order, set_up)
    yield shop
    instrumentor.uninstrument_app(shop.app)


def test_each_request_is_a_span(shop: Shop, spans: InMemorySpanExporter) -> None:
    """Logins, good tokens and refusals, which are no failure of the server."""
    client = shop.app.test_client()
    token = client.post("/auth/login", json=credentials()).get_json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get("/protected", headers=headers).get_json() == {"user": "alice"}
    assert client.get("/protected").status_code == 401
    finished = spans.get_finished_spans()
    names = [span.name for span in finished]
    assert names == ["POST /auth/login", "GET /protected", "GET /protected"]
    assert {span.status.status_code for span in finished} == {StatusCode.UNSET}
    assert token not in repr([span.to_json() for span in finished])
    assert client.get("/auth/nowhere").status_code == 404


CLASS_REPLACED = """
{first}
from opentelemetry.instrumentation.flask import FlaskInstrumentor
{second}
FlaskInstrumentor().instrument()
{third}
import flask, tokenauth
app = {app}
app.config["SECRET_KEY"] = "k3b9f0e1c7a52d8846f1b0ce9d7713fa25e0c4d8b6a9172f3"
users = tokenauth.DictUserStore({{"alice": tokenauth.User("alice")}})
auth = tokenauth.TokenAuth(app, users)
app.get("/")(lambda: "here")
with app.app_context():
    token = auth.login(users.get("alice")).access_token
client = app.test_client()
headers = {{"Authorization": "Bearer " + token}}
assert client.get("/", headers=headers).text == "here"
assert client.get("/auth/me", headers=headers).status_code == 200
assert client.get("/auth/me").status_code == 401
"""


@pytest.mark.parametrize(
    "order",
    [
        {"first": "import tokenauth"},
        {"third": "import tokenauth"},
        {"second": "import flask; made = flask.Flask('shop')", "app": "made"},
        {"first": "import flask; Plain = flask.Flask", "app": "Plain('shop')"},
    ],
    ids=["tokenauth first", "instrumented first", "made before", "class kept"],
)
def test_flask_s_class_may_be_replaced(order: dict[str, str]) -> None:
    """`opentelemetry-instrument` does that at any moment of a program's start."""
    parts = {"first": "", "second": "", "third": "", "app": "flask.Flask('shop')"}
    program = CLASS_REPLACED.format(**{**parts, **order})
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        check=True,
        env=outside_of_coverage(),
    )

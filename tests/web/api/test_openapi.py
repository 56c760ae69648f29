"""The API's description: valid, complete, true, and at home in other documents."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from apiflask import APIFlask
from flask import Flask
from flask.testing import FlaskClient
from flask_smorest import Api
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from tests.harness import fuzzed
from tests.harness.kit import PASSWORDS, SECRET, assert_problem, make_app, make_users
from tests.harness.servers import outside_of_coverage, serve
from tokenauth import TokenAuth, errors
from tokenauth.errors import ConfigurationError
from tokenauth.web.api import ROUTES
from tokenauth.web.api.bodies import media_type

ROOT = Path(__file__).parents[3]


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    response = client.get("/auth/openapi.json")
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    document: dict[str, Any] = response.get_json()
    return document


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each operation of a document under `METHOD /path`."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_the_description_is_valid(document: dict[str, Any]) -> None:
    """OpenAPI 3.1, by the specification's own schema."""
    assert document["openapi"] == "3.1.0"
    validate(document)


def test_every_endpoint_is_described(app: Flask, document: dict[str, Any]) -> None:
    """What is registered is described, and nothing else, but for the page itself."""
    registered = {
        f"{method} {rule.rule.replace('<', '{').replace('>', '}')}"
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("tokenauth.")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    page = {"GET /auth/openapi.json", "GET /auth/docs", "GET /auth/docs/{name}"}
    files = {"GET /auth/client.js"}
    assert operations(document).keys() == registered - page - files


def test_the_refresh_cookie_is_described(document: dict[str, Any]) -> None:
    """Who asks for it, what takes it, and what the answer is then."""
    described = operations(document)
    schemas = document["components"]["schemas"]
    assert "cookie" in schemas["TokenauthLoginRequest"]["properties"]
    [cookie] = described["POST /auth/refresh"]["parameters"]
    assert cookie["in"] == "cookie"
    for path in ("login", "refresh", "password"):
        success = described[f"POST /auth/{path}"]["responses"]["200"]
        assert "Set-Cookie" in success["headers"]
    answer = schemas["TokenauthTokenPair"]
    assert "refresh_token" in answer["properties"].keys() - answer["required"]


def test_every_error_is_described(document: dict[str, Any]) -> None:
    """Each code of this package is an example of some answer, with its status."""
    described = {
        (name, example["status"])
        for operation in operations(document).values()
        for status, response in operation["responses"].items()
        if "application/problem+json" in response.get("content", {})
        for name, example in (
            (name, each["value"])
            for name, each in response["content"]["application/problem+json"][
                "examples"
            ].items()
        )
        if example["status"] == int(status) and example["code"] == name
    }
    known = {
        (error.error_code, error.code)
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.AuthError)
    }
    abstract = {("auth_error", None), ("auth_error", 401)}
    of_no_endpoint = {("method_not_allowed", 405), ("server_error", 500)}
    assert described == known - abstract - of_no_endpoint


def test_the_examples_fit_their_schemas(document: dict[str, Any]) -> None:
    """What a reader copies is accepted by what decodes it."""
    examples = {
        (name, media_type): content["example"]
        for name, operation in operations(document).items()
        for media_type, content in operation.get("requestBody", {"content": {}})[
            "content"
        ].items()
    }
    for route in ROUTES:
        for body in route.bodies:
            example = examples.pop(
                (f"{route.method} /auth{route.path}", media_type(body))
            )
            msgspec.convert(example, body)
    assert not examples
    problem = document["components"]["schemas"]["TokenauthProblemDocument"]
    for operation in operations(document).values():
        for response in operation["responses"].values():
            for content in response.get("content", {}).values():
                for example in content.get("examples", {}).values():
                    OAS31Validator(problem).validate(example["value"])


def test_the_headers_of_errors_are_described(document: dict[str, Any]) -> None:
    """A 401 or 403 has its challenge, and what may be tried again says when."""
    for operation in operations(document).values():
        for status, response in operation["responses"].items():
            headers = response.get("headers", {})
            assert "WWW-Authenticate" in headers or status not in {"401", "403"}
            assert ("Retry-After" in headers) == (status in {"429", "503"})


def test_who_needs_a_token_says_so(
    client: FlaskClient, document: dict[str, Any]
) -> None:
    """An operation with the security scheme refuses without a token, and vice versa."""
    scheme = document["components"]["securitySchemes"]["tokenauth"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for name, operation in operations(document).items():
        method, path = name.split()
        answer = client.open(path.replace("{session_id}", "x"), method=method)
        is_missing = answer.get_json().get("code") == "token_missing"
        assert operation["security"] == ([{"tokenauth": []}] if is_missing else [])


def test_all_name_the_header_that_carries_the_token() -> None:
    """The description, the scripts, and the refusal of a request without a token."""
    client = make_app(config={"TOKENAUTH_HEADER": "X-Api-Token"}).test_client()
    document = client.get("/auth/openapi.json").get_json()
    scheme = document["components"]["securitySchemes"]["tokenauth"]
    named = {"type": "apiKey", "in": "header", "name": "X-Api-Token"}
    assert scheme.items() >= named.items()
    for name in ("client.js", "docs/start.js"):
        script = client.get(f"/auth/{name}").text
        assert '"X-Api-Token"' in script
        assert '"Authorization"' not in script
    assert (
        "'X-Api-Token: Bearer <token>'" in client.get("/auth/me").get_json()["detail"]
    )


def test_a_reader_is_told_in_words(document: dict[str, Any]) -> None:
    """A summary for each operation, a sentence for each schema, no code's docstring."""
    for operation in operations(document).values():
        assert operation["summary"].endswith(".")
        assert operation["tags"]
    for schema in document["components"]["schemas"].values():
        assert schema["description"]
        assert "Attributes:" not in schema["description"]


def test_generators_can_read_the_names(document: dict[str, Any]) -> None:
    """No dots, which some take for packages, and no patterns of Python's own."""
    for name in document["components"]["schemas"]:
        assert re.fullmatch(r"Tokenauth[A-Za-z]+", name)
    assert '"pattern"' not in json.dumps(document)


def test_the_address_is_that_of_the_application() -> None:
    """Another prefix is in the paths; where it is mounted is in the servers."""
    app = make_app(config={"TOKENAUTH_URL_PREFIX": "/api/v1/auth"})
    client = app.test_client()
    document = client.get("/api/v1/auth/openapi.json").get_json()
    assert document["servers"] == [{"url": "/"}]
    assert "/api/v1/auth/sessions/{session_id}" in document["paths"]
    mounted = client.get(
        "/api/v1/auth/openapi.json", environ_overrides={"SCRIPT_NAME": "/shop"}
    ).get_json()
    assert mounted["servers"] == [{"url": "/shop"}]
    validate(mounted)


@pytest.mark.parametrize("path", ["openapi.json", "docs", "docs/start.js"])
def test_one_setting_turns_it_off(path: str) -> None:
    """Then neither description nor page is there; everything else is."""
    client = make_app(config={"TOKENAUTH_DOCS": False}).test_client()
    assert_problem(client.get(f"/auth/{path}"), 404, "not_found")
    assert_problem(client.get("/auth/me"), 401, "token_missing")


@pytest.mark.parametrize("value", ["false", "", 0, 1])
def test_the_setting_is_true_or_false(value: Any) -> None:
    """Nothing that only reads like it."""
    with pytest.raises(
        ConfigurationError, match="TOKENAUTH_DOCS must be True or False"
    ):
        make_app(config={"TOKENAUTH_DOCS": value})


# -- in other documents ------------------------------------------------------------


def test_it_merges_into_an_apiflask_document() -> None:
    """One document for the application's own views and for ours."""
    app = APIFlask("app", title="Shop", version="2")
    app.config.update(SECRET_KEY=SECRET, OPENAPI_VERSION="3.1.0")
    app.config["SECURITY_SCHEMES"] = {"other": {"type": "http", "scheme": "basic"}}
    auth = TokenAuth(app, make_users())

    @app.get("/orders")
    @app.doc(security="tokenauth")
    def orders() -> dict[str, str]:
        return {}

    @app.spec_processor
    def add_authentication(spec: Any) -> dict[str, Any]:
        return auth.merge_openapi(spec)

    assert app.test_client().get("/orders").get_json() == {}
    for _ in range(2):  # APIFlask makes it once and keeps it
        document = app.test_client().get("/openapi.json").get_json()
        validate(document)
        assert document["info"] == {"title": "Shop", "version": "2"}
        assert document["paths"]["/orders"]["get"]["security"] == [{"tokenauth": []}]
        assert "/auth/login" in document["paths"]
        assert document["components"]["securitySchemes"].keys() == {
            "other",
            "tokenauth",
        }


def test_it_merges_into_a_flask_smorest_document() -> None:
    """Through the options that flask-smorest takes for the rest of the document."""
    app = Flask("app")
    app.config.update(
        SECRET_KEY=SECRET,
        API_TITLE="Shop",
        API_VERSION="2",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
    )
    auth = TokenAuth(app, make_users())
    api = Api(app)
    with app.app_context():
        auth.merge_openapi(api.spec.options)
    document = app.test_client().get("/openapi.json").get_json()
    validate(document)
    assert document["info"] == {"title": "Shop", "version": "2"}
    assert "/auth/login" in document["paths"]
    assert "tokenauth" in document["components"]["securitySchemes"]


def test_merging_changes_neither_side_s_own(app: Flask) -> None:
    """What was in the document stays; what is added is a copy; twice is once."""
    auth = TokenAuth()
    mine: dict[str, Any] = {
        "openapi": "3.1.0",
        "paths": {"/orders": {"get": {"responses": {"200": {"description": "ok"}}}}},
        "components": {"schemas": {"Order": {"type": "object"}}},
    }
    with app.app_context():
        assert auth.merge_openapi(mine) is mine
        once = json.dumps(mine)
        assert json.dumps(auth.merge_openapi(mine)) == once
        mine["paths"]["/auth/login"]["post"].clear()
        assert "/orders" in mine["paths"]
        assert "Order" in mine["components"]["schemas"]
        fresh = auth.merge_openapi({})
    assert fresh["paths"]["/auth/login"]["post"]["summary"]


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        ({"openapi": "3.0.3"}, "OPENAPI_VERSION = '3.1.0'"),
        ({"swagger": "2.0", "paths": {}}, "Swagger 2.0"),
        ({"paths": {"/auth/login": {}}}, "another '/auth/login'"),
        (
            {"components": {"securitySchemes": {"tokenauth": {"type": "oauth2"}}}},
            "another 'tokenauth'",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    app: Flask, theirs: dict[str, Any], message: str
) -> None:
    """By name, rather than with a document that is wrong."""
    before = json.dumps(theirs) if "swagger" in theirs else None
    with app.app_context(), pytest.raises(ConfigurationError, match=message):
        TokenAuth().merge_openapi(theirs)
    assert before in (None, json.dumps(theirs))


# -- code generators ----------------------------------------------------------------


def run_module(*command: str, cwd: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=cwd,
        env=outside_of_coverage(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Unable to" not in run.stdout + run.stderr


@pytest.fixture
def generated(
    document: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder for generated modules, with the description in it."""
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_datamodel_code_generator_writes_the_bodies(generated: Path) -> None:
    """One module, with a class for each schema."""
    options = ["--input=openapi.json", "--input-file-type=openapi"]
    options += ["--output=api_models.py", "--formatters=builtin"]
    options += ["--output-model-type=dataclasses.dataclass"]
    run_module("datamodel_code_generator", *options, cwd=generated)
    models = importlib.import_module("api_models")
    request = models.TokenauthLoginRequest("alice", PASSWORDS["alice"])
    assert (request.username, request.scope) == ("alice", None)


def test_openapi_python_client_writes_a_client_that_logs_in(
    app: Flask, generated: Path
) -> None:
    """And that asks who it is, and is told what was wrong."""
    options = ["--path=openapi.json", "--output-path=api_client", "--meta=none"]
    run_module("openapi_python_client", "generate", *options, cwd=generated)
    models = importlib.import_module("api_client.models")
    logins = importlib.import_module("api_client.api.logins")
    names = ("tokenauth_log_in", "tokenauth_me")
    calls = {
        each: importlib.import_module(f"{logins.__name__}.{each}") for each in names
    }
    client = importlib.import_module("api_client.client")
    transport = {"transport": httpx.WSGITransport(app=app)}

    anyone = client.Client("http://localhost", httpx_args=transport)
    body = models.LoginRequest("alice", PASSWORDS["alice"])
    pair = calls["tokenauth_log_in"].sync(client=anyone, body=body)
    alice = client.AuthenticatedClient(
        "http://localhost", pair.access_token, httpx_args=transport
    )
    assert calls["tokenauth_me"].sync(client=alice).username == "alice"
    refused = calls["tokenauth_log_in"].sync(
        client=anyone, body=models.LoginRequest("alice", "wrong")
    )
    assert refused.code == "invalid_credentials"


# -- against a running server ------------------------------------------------------


def test_schemathesis_finds_nothing(tmp_path: Path, is_full: bool) -> None:
    """All its checks, and steps linked from login over refresh to logout.

    The short run always tries the same; the full one tries something new each time.
    """
    config = tmp_path / "schemathesis.toml"
    config.write_text(fuzzed.CONFIG)
    options = ["--max-examples=500"] if is_full else ["--max-examples=5", "--seed=1"]
    with serve(
        "tests.harness.fuzzed:create_app()", cwd=ROOT, env={"FLASK_SECRET_KEY": SECRET}
    ) as server:
        command = [sys.executable, "-m", "schemathesis.cli", f"--config-file={config}"]
        run = subprocess.run(
            [*command, "run", f"{server.url}/auth/openapi.json", *options],
            cwd=tmp_path,
            env=outside_of_coverage()
            | {
                "NO_COLOR": "1",
                "PYTHONPATH": str(ROOT),
                "SCHEMATHESIS_HOOKS": "tests.harness.fuzzed",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr + server.log
    assert "14 selected / 14 total" in run.stdout
    covered, links = re.findall(r"API Links: +(\d) covered / (\d) sel", run.stdout)[0]
    assert int(links) == 6
    assert int(covered) >= (6 if is_full else 2)

"""An error of ours is its own response, wherever it is raised or caught."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from apiflask import APIFlask
from flask import Blueprint, Flask, abort, request
from flask.views import MethodView
from werkzeug.exceptions import HTTPException, Unauthorized
from werkzeug.test import TestResponse

import tokenauth
from tests.harness.grammar import PROBLEMS, parse_challenge
from tests.harness.kit import SECRET, bearer
from tests.neighbours.kit import ORDERS, join
from tokenauth import AuthError, TokenAuth

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # these libraries' own imports
    import flask_restful
    import flask_restx
    import flask_smorest

BASES = {"AuthError", "TokenError", "RetryLaterError"}  # names to catch, never raised
ARGUMENTS: dict[str, tuple[object, ...]] = {
    "InsufficientScopeError": (frozenset({"read"}),),
    "PasswordRefusedError": ("common", "Use another one."),
    "MethodNotAllowedError": (["POST", "GET"],),
    "UnsupportedMediaTypeError": ("application/json",),
}
HEADERS = {
    "too_many_attempts": ("Retry-After", "1"),
    "overloaded": ("Retry-After", "1"),
    "store_unavailable": ("Retry-After", "1"),
    "method_not_allowed": ("Allow", "GET, POST"),
}


def error_classes() -> Iterator[type[AuthError]]:
    """Yield each public class that is raised."""
    for name in tokenauth.__all__:
        found = getattr(tokenauth, name)
        is_error = isinstance(found, type) and issubclass(found, AuthError)
        if is_error and name not in BASES:
            yield found


ERRORS = {cls.__name__: cls for cls in error_classes()}


def fail(*_: Any, **__: Any) -> Any:
    """Raise the error that the request names."""
    name = request.args["error"]
    if name == "Forbidden":
        abort(403)
    raise ERRORS[name](*ARGUMENTS.get(name, ()))  # type: ignore[arg-type]


def passes_http_errors(error: Exception) -> Any:
    """Do as Flask's documentation has it of generic handlers."""
    if isinstance(error, HTTPException):
        return error
    return "failed", 500


def words_http_errors(error: HTTPException) -> Any:
    """Do as Flask's documentation has it of HTTP errors as JSON."""
    response: Any = error.get_response()
    body = {"code": error.code, "name": error.name, "description": error.description}
    response.data = json.dumps(body)
    response.content_type = "application/json"
    return response


# -- where it is raised ----------------------------------------------------------------


def in_a_view(app: Flask) -> None:
    app.get("/view")(fail)


def in_an_async_view(app: Flask) -> None:
    @app.get("/view")
    async def view() -> Any:
        return fail()


def in_a_method_view(app: Flask) -> None:
    class View(MethodView):
        get = fail

    app.add_url_rule("/view", view_func=View.as_view("view"))


def in_a_hook(app: Flask) -> None:
    app.before_request(lambda: fail() if "error" in request.args else None)
    app.get("/view")(lambda: "not reached")


def in_a_blueprint_that_catches_all(app: Flask) -> None:
    blueprint = Blueprint("all", __name__)
    blueprint.register_error_handler(Exception, passes_http_errors)
    blueprint.get("/view")(fail)
    app.register_blueprint(blueprint)


def in_an_application_that_catches_all(app: Flask) -> None:
    app.register_error_handler(Exception, passes_http_errors)
    app.get("/view")(fail)


def in_an_application_that_catches_http_errors(app: Flask) -> None:
    app.register_error_handler(HTTPException, words_http_errors)
    app.get("/view")(fail)


def in_an_application_that_answers_by_code(app: Flask) -> None:
    app.register_error_handler(Exception, lambda error: (str(error), error.code))
    app.get("/view")(fail)


class RestfulView(flask_restful.Resource):
    get = fail


def in_flask_restful(app: Flask) -> None:
    flask_restful.Api(app).add_resource(RestfulView, "/view")


def in_a_blueprint_of_flask_restful(app: Flask) -> None:
    blueprint = Blueprint("api", __name__)
    flask_restful.Api(blueprint).add_resource(RestfulView, "/view")
    app.register_blueprint(blueprint)


class RestxView(flask_restx.Resource):
    get = fail


def in_flask_restx(app: Flask) -> None:
    flask_restx.Api(app, doc=False).add_resource(RestxView, "/view")


def in_a_namespace_of_flask_restx(app: Flask) -> None:
    namespace = flask_restx.Namespace("all", path="/view")
    namespace.add_resource(RestxView, "")
    flask_restx.Api(app).add_namespace(namespace)


def in_a_blueprint_of_flask_restx(app: Flask) -> None:
    blueprint = Blueprint("api", __name__)
    flask_restx.Api(blueprint).add_resource(RestxView, "/view")
    app.register_blueprint(blueprint)


def in_flask_smorest(app: Flask) -> None:
    app.config.update(API_TITLE="t", API_VERSION="v1", OPENAPI_VERSION="3.1.0")
    blueprint = flask_smorest.Blueprint("all", __name__)

    @blueprint.route("/view")
    class View(MethodView):
        get = blueprint.response(200)(fail)

    flask_smorest.Api(app).register_blueprint(blueprint)


PLACES: list[Callable[[Flask], None]] = [
    in_a_view,
    in_an_async_view,
    in_a_method_view,
    in_a_hook,
    in_a_blueprint_that_catches_all,
    in_an_application_that_catches_all,
    in_an_application_that_catches_http_errors,
    in_an_application_that_answers_by_code,
    in_flask_restful,
    in_a_blueprint_of_flask_restful,
    in_flask_restx,
    in_a_namespace_of_flask_restx,
    in_a_blueprint_of_flask_restx,
    in_flask_smorest,
]
CONFIGS: list[dict[str, bool]] = [
    {"TESTING": False},
    {"TESTING": True},
    {"TESTING": False, "PROPAGATE_EXCEPTIONS": True},
    {"TESTING": False, "TRAP_HTTP_EXCEPTIONS": True},
    {"TESTING": True, "TRAP_HTTP_EXCEPTIONS": True},
    {"TESTING": False, "DEBUG": True},
]


def make(place: Callable[[Flask], None], **config: object) -> Flask:
    app = Flask("shop")
    app.logger.disabled = True
    app.config.update({"SECRET_KEY": SECRET, **config})
    TokenAuth(app, {})
    place(app)
    return app


def skip_if_broken(place: Callable[[Flask], None]) -> None:
    """Skip a place that fails without us, on a Flask that is not out yet."""
    app = Flask("alone")
    app.logger.disabled = True
    try:
        place(app)
        status = app.test_client().get("/view?error=Forbidden").status_code
    except Exception as error:  # noqa: BLE001 # whatever it is, it is not ours
        pytest.skip(f"{place.__name__}: fails on this Flask: {error!r}")
    assert status == 403


def seen(answer: TestResponse) -> tuple[object, ...]:
    """Return status, `code` member, `error` of the challenge, the header of its own."""
    body = answer.get_json(silent=True) or {}
    challenges = answer.headers.getlist("WWW-Authenticate")
    error = None
    if challenges:
        (challenge,) = map(parse_challenge, challenges)
        assert challenge.scheme == "Bearer"
        assert challenge.params["realm"] == "shop"
        error = challenge.params.get("error", "")
    name, _ = HEADERS.get(str(body.get("code")), ("", ""))
    return answer.status_code, body.get("code"), error, answer.headers.get(name)


def documented(error: type[AuthError]) -> tuple[object, ...]:
    """Return the same of the contract."""
    code = error.error_code
    status, challenge = PROBLEMS[code]
    if error is tokenauth.AmbiguousTokenError:
        challenge = "invalid_request"
    return status, code, challenge, HEADERS.get(code, ("", None))[1]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("place", PLACES)
def test_an_error_is_its_own_response(
    place: Callable[[Flask], None], config: dict[str, bool]
) -> None:
    """Each class has its status, `code` and challenge, also where others catch."""
    skip_if_broken(place)
    client = make(place, **config).test_client()
    answers = {
        name: seen(client.get("/view", query_string={"error": name})) for name in ERRORS
    }
    assert answers == {name: documented(cls) for name, cls in ERRORS.items()}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_its_own_response_in_apiflask(name: str, order: str) -> None:
    """APIFlask words all HTTP errors of an application itself."""
    app = APIFlask("shop")
    shop = join(order, lambda app: app.get("/view")(fail), app=app)
    answer = shop.app.test_client().get("/view", query_string={"error": name})
    assert seen(answer) == documented(ERRORS[name])


# -- who else answers ------------------------------------------------------------------


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("caught", [401, Unauthorized])
def test_the_application_s_handler_of_the_status_is_called(
    caught: Any, config: dict[str, bool]
) -> None:
    """`errorhandler(401)` words ours like everybody's, for views and for guards."""
    app = make(in_a_view, **config)
    headers = {"WWW-Authenticate": 'Bearer realm="shop"'}
    app.register_error_handler(caught, lambda error: (error.name, error.code, headers))
    app.get("/abort", endpoint="abort")(lambda: abort(401))
    guarded = tokenauth.require_scopes("read")(lambda: "not reached")
    app.get("/protected", endpoint="protected")(guarded)
    client = app.test_client()
    paths = ["/view?error=TokenExpiredError", "/protected"]
    if "TRAP_HTTP_EXCEPTIONS" not in config:
        paths.append("/abort")
    answers = [client.get(path) for path in paths]
    assert {(answer.status_code, answer.text) for answer in answers} == {
        (401, "Unauthorized")
    }


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (403, "InsufficientScopeError"),
        (404, "NotFoundError"),
        (429, "TooManyAttemptsError"),
        (503, "StoreUnavailableError"),
        (400, "InvalidGrantError"),
        (422, "PasswordRefusedError"),
    ],
)
def test_each_status_has_its_handler(status: int, name: str) -> None:
    """Each error is of Werkzeug's class of its status, too."""
    app = make(in_a_view)
    app.register_error_handler(status, lambda error: (f"page {error.code}", error.code))
    answer = app.test_client().get("/view", query_string={"error": name})
    assert (answer.status_code, answer.text) == (status, f"page {status}")


@pytest.mark.parametrize("order", ORDERS)
def test_a_handler_of_our_classes_is_called(order: str) -> None:
    """Whichever is first: the handler or `TokenAuth`."""

    def set_up(app: Flask) -> None:
        app.register_error_handler(AuthError, lambda error: (error.error_code, 418))

    answer = join(order, set_up).app.test_client().get("/protected")
    assert (answer.status_code, answer.text) == (418, "token_missing")


@pytest.mark.parametrize("name", ERRORS)
def test_a_blueprint_may_word_all_http_errors(name: str) -> None:
    """By Flask's documented pattern: the status stays, and the challenge."""

    def place(app: Flask) -> None:
        blueprint = Blueprint("all", __name__)
        blueprint.register_error_handler(HTTPException, words_http_errors)
        blueprint.get("/view")(fail)
        app.register_blueprint(blueprint)

    client = make(place).test_client()
    for _ in range(2):  # the response is made anew each time
        answer = client.get("/view", query_string={"error": name})
        status, _, challenge, _ = documented(ERRORS[name])
        assert answer.status_code == answer.get_json()["code"] == status
        assert seen(answer)[2] == challenge


@pytest.mark.parametrize("name", ERRORS)
def test_a_handler_that_answers_by_the_code_has_a_status(name: str) -> None:
    """`error.code` is the status, as everywhere: never 200."""

    def place(app: Flask) -> None:
        blueprint = Blueprint("all", __name__)

        @blueprint.errorhandler(Exception)
        def handle(error: Any) -> Any:
            challenge = dict(error.get_headers()).get("WWW-Authenticate")
            headers = {"WWW-Authenticate": challenge} if challenge else {}
            return error.description, error.code, headers

        blueprint.get("/view")(fail)
        app.register_blueprint(blueprint)

    answer = make(place).test_client().get("/view", query_string={"error": name})
    assert answer.status_code == documented(ERRORS[name])[0]
    assert answer.text


@pytest.mark.parametrize("name", ERRORS)
def test_a_handler_of_flask_restx_answers_by_the_code(name: str) -> None:
    """`@api.errorhandler(HTTPException)` gets an error that has its status."""

    def place(app: Flask) -> None:
        api = flask_restx.Api(app, doc=False)
        api.add_resource(RestxView, "/view")

        @api.errorhandler(HTTPException)
        def http_error(error: HTTPException) -> Any:
            challenge = error.get_response().headers.get("WWW-Authenticate")
            headers = {"WWW-Authenticate": challenge} if challenge else {}
            return {"message": error.description}, error.code, headers

    skip_if_broken(place)
    answer = make(place).test_client().get("/view", query_string={"error": name})
    assert answer.status_code == documented(ERRORS[name])[0]
    assert seen(answer)[2] == documented(ERRORS[name])[2]


@pytest.mark.parametrize("caught", [AuthError, tokenauth.StoreUnavailableError])
def test_an_application_may_answer_our_errors_itself(caught: type[AuthError]) -> None:
    """By a handler for the class, or for the base of all."""
    app = make(in_a_view)
    app.register_error_handler(caught, lambda _: ("back soon", 503))
    answer = app.test_client().get("/view?error=StoreUnavailableError")
    assert (answer.status_code, answer.text) == (503, "back soon")


@pytest.mark.parametrize("caught", [HTTPException, Exception])
def test_a_catch_all_handler_leaves_our_endpoints_alone(caught: Any) -> None:
    """Its pages are not for clients of the API."""
    app = make(in_a_view, TESTING=False)
    app.register_error_handler(caught, lambda _: ("<h1>Sorry</h1>", 500))
    client = app.test_client()
    answers = {
        "missing": client.get("/auth/me"),
        "bad": client.get("/auth/me", headers=bearer("abc.def")),
        "nowhere": client.get("/auth/nowhere"),
        "method": client.get("/auth/login"),
        "malformed": client.post("/auth/login", json={}),
    }
    assert {name: seen(answer)[:2] for name, answer in answers.items()} == {
        "missing": (401, "token_missing"),
        "bad": (401, "token_invalid"),
        "nowhere": (404, "not_found"),
        "method": (405, "method_not_allowed"),
        "malformed": (400, "invalid_request"),
    }


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_an_http_exception_of_its_status(name: str) -> None:
    """For whoever catches it: `code` is the status, and Werkzeug's class is a base."""
    error: Exception = ERRORS[name](*ARGUMENTS.get(name, ()))  # type: ignore[arg-type]
    status = documented(ERRORS[name])[0]
    assert isinstance(error, HTTPException)
    assert error.code == status
    with pytest.raises(HTTPException) as raised:
        abort(int(str(status)))
    assert isinstance(error, type(raised.value))

"""Events as Prometheus counters, with the real prometheus-client."""

from __future__ import annotations

import sys

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from tests.harness.kit import log_in, make_app
from tokenauth.errors import ConfigurationError
from tokenauth.metrics import export_metrics


def count(registry: CollectorRegistry, event: str, reason: str = "") -> float | None:
    labels = {"event": event, "reason": reason}
    return registry.get_sample_value("tokenauth_events_total", labels)


def test_each_event_is_counted(app: Flask, client: FlaskClient) -> None:
    """By the signal's name and the word for why."""
    registry = CollectorRegistry()
    export_metrics(app, registry)
    tokens = log_in(client)
    for _ in range(2):
        client.post("/auth/login", json={"username": "eve", "password": "wrong"})
    client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    client.get("/protected", headers={"Authorization": "Bearer a.b"})
    assert count(registry, "login_succeeded") == 1
    assert count(registry, "login_failed", "unknown_user") == 2
    assert count(registry, "session_refreshed") == 1
    assert count(registry, "token_refused", "token_invalid") == 1
    assert count(registry, "login_failed", "wrong_password") is None


def test_no_client_can_make_up_a_series(app: Flask, client: FlaskClient) -> None:
    """Any number of names and tokens fall into the same few series."""
    registry = CollectorRegistry()
    export_metrics(app, registry)
    for i in range(25):
        client.post("/auth/login", json={"username": f"eve-{i}", "password": f"p{i}"})
        client.get("/protected", headers={"Authorization": f"Bearer a{i}.b"})
        client.post("/auth/refresh", json={"refresh_token": f"a{i}.b"})
    text = generate_latest(registry).decode()
    series = [line for line in text.splitlines() if "_total{" in line]
    assert len(series) == 2
    assert "eve-" not in text


def test_applications_are_counted_apart(app: Flask, client: FlaskClient) -> None:
    """Each in its own registry."""
    registry, other = CollectorRegistry(), CollectorRegistry()
    export_metrics(app, registry)
    export_metrics(make_app(), other)
    log_in(client)
    assert count(registry, "login_succeeded") == 1
    assert count(other, "login_succeeded") is None


def test_the_library_s_own_registry_is_the_default(
    app: Flask, client: FlaskClient
) -> None:
    """It is what an exporter shows unless told otherwise; twice is refused."""
    export_metrics(app)
    try:
        log_in(client)
        assert count(REGISTRY, "login_succeeded") == 1
        with pytest.raises(ConfigurationError, match="registry of its own"):
            export_metrics(make_app())
    finally:  # it outlives the test otherwise
        REGISTRY.unregister(REGISTRY._names_to_collectors["tokenauth_events_total"])


def test_a_missing_package_is_named(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message holds the command that installs it."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigurationError) as caught:
        export_metrics(app)
    assert "pip install 'flask-login-tokenauth[metrics]'" in str(caught.value)

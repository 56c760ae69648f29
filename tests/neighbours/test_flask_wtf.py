"""Flask-WTF: its CSRF protection is for cookies, and our endpoints read none."""

from __future__ import annotations

import pytest
from flask_wtf import CSRFProtect
from flask_wtf.csrf import generate_csrf

from tests.neighbours.kit import Shop, credentials, join
from tokenauth.web.api import ROUTES


@pytest.fixture
def shop(order: str) -> Shop:
    """An application that asks each POST for a CSRF token."""
    shop = join(order, CSRFProtect)
    shop.app.post("/form")(lambda: "sent")
    shop.app.get("/csrf")(generate_csrf)
    return shop


def test_our_endpoints_need_no_csrf_token(shop: Shop) -> None:
    """They use no cookie, so another site cannot misuse one."""
    client = shop.app.test_client()
    login = client.post("/auth/login", json=credentials())
    assert login.status_code == 200, login.text
    tokens = login.get_json()
    body = {"refresh_token": tokens["refresh_token"]}
    assert client.post("/auth/refresh", json=body).status_code == 200
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert client.post("/auth/logout", headers=headers).status_code == 204


def test_forms_of_the_application_are_still_protected(shop: Shop) -> None:
    """Without the CSRF token 400; with it, sent."""
    client = shop.app.test_client()
    answer = client.post("/form")
    assert (answer.status_code, "CSRF" in answer.text) == (400, True)
    token = client.get("/csrf").text
    assert client.post("/form", data={"csrf_token": token}).text == "sent"


def test_no_cookie_opens_one_of_our_endpoints(order: str) -> None:
    """Which is why they are exempt: alice's cookies alone are nobody's there."""
    client = join(order, lambda app: None).client_with_cookie()
    for route in ROUTES:
        path = "/auth" + route.path.replace("<session_id>", "A" * 22)
        answer = client.open(path, method=route.method, headers={"Accept": "*/*"})
        is_public = route.name == "keys"  # which verify tokens, and are everybody's
        assert answer.status_code in ({200} if is_public else {401, 415}), route

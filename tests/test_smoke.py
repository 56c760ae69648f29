from flask.testing import FlaskClient

from tests.kit import bearer, log_in


def test_a_login_opens_a_protected_view(client: FlaskClient) -> None:
    """POST credentials, send the token, be let in."""
    tokens = log_in(client)
    response = client.get("/protected", headers=bearer(tokens["access_token"]))
    assert response.status_code == 200
    assert response.json == {"user": "alice"}

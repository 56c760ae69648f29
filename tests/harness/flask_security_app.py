"""An application of Flask-Security's, as people come from it."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_security import (
    Security,
    SQLAlchemySessionUserDatastore,
    auth_required,
    current_user,
    hash_password,
)
from flask_security.models import sqla
from sqlalchemy import StaticPool, create_engine
from sqlalchemy.orm import DeclarativeBase, scoped_session, sessionmaker

from tests.harness.kit import SECRET

PASSWORD = "a password of old"


class Base(DeclarativeBase):
    pass


sqla.FsModels.set_db_info(base_model=Base)


class Role(Base, sqla.FsRoleMixin):
    __tablename__ = "role"


class User(Base, sqla.FsUserMixin):
    __tablename__ = "user"


def create_app(database: scoped_session[Any]) -> Flask:
    app = Flask("old")
    app.config.update(
        SECRET_KEY=SECRET, SECURITY_PASSWORD_SALT="s" * 32, WTF_CSRF_ENABLED=False
    )
    Security(app, SQLAlchemySessionUserDatastore(database, User, Role))

    @app.get("/protected")
    @auth_required("token")
    def protected() -> str:
        email: str = current_user.email
        return email

    return app


def token_for(email: str, **fields: str) -> str:
    """Return the token that a new user gets who logs in, after seeing that it works."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    database = scoped_session(sessionmaker(engine))
    app = create_app(database)
    with app.app_context():
        user = User(
            email=email, password=hash_password(PASSWORD), active=True, **fields
        )
        database.add(user)
        database.commit()
    client = app.test_client(use_cookies=False)
    body = {"email": email, "password": PASSWORD}
    answer = client.post("/login?include_auth_token", json=body)
    token: str = answer.get_json()["response"]["user"]["authentication_token"]
    header = {"Authentication-Token": token}
    assert client.get("/protected", headers=header).text == email
    database.remove()
    engine.dispose()
    return token

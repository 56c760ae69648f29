"""A shop: an API for browsers on another origin, and an admin area with cookies."""

from flask import Flask
from flask_cors import CORS
from flask_migrate import Migrate
from flask_wtf import CSRFProtect

from . import admin, api
from .models import auth, db, users


def create_app(config=None):
    """Return the application; settings come from `FLASK_...` and `config`."""
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///shop.sqlite3"
    app.config["TOKENAUTH_SESSION_URL"] = f"sqlite:///{app.instance_path}/shop.sqlite3"
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    db.init_app(app)
    Migrate(app, db)
    CSRFProtect(app).exempt(api.blueprint)  # no cookie opens it
    CORS(app, origins=app.config.get("SITE", "http://localhost:3000"))
    auth.init_app(app, users)
    app.register_blueprint(admin.blueprint)
    app.register_blueprint(api.blueprint)
    return app

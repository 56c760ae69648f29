"""A page and its API: `flask run`, then http://localhost:5000 (not 127.0.0.1)."""

from flask import Flask
from flask_login import current_user
from tokenauth import DictUserStore, TokenAuth, hash_password, token_required

app = Flask(__name__, static_folder="pages", static_url_path="")
app.config.from_prefixed_env()  # FLASK_SECRET_KEY
app.config["TOKENAUTH_REFRESH_COOKIE"] = True
users = DictUserStore({"JohnDoe": hash_password("correct horse battery")})
auth = TokenAuth(app, users)


@app.get("/")
def page():
    return app.send_static_file("index.html")


@app.get("/api/profile")
@token_required
def profile():
    return {"user": current_user.username}

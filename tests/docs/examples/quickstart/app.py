from flask import Flask
from flask_login import current_user, login_required
from tokenauth import DictUserStore, TokenAuth, hash_password

app = Flask(__name__)
app.config.from_prefixed_env()  # FLASK_SECRET_KEY
# `flask tokenauth hash-password` makes a hash to put here in place of the clear text.
auth = TokenAuth(
    app, DictUserStore({"JohnDoe": hash_password("correct horse battery")})
)


@app.get("/protected")
@login_required
def protected():
    return {"hello": current_user.username}

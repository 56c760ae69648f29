"""Registration, password reset and orders: no cookie opens any of it."""

from contextlib import suppress

from flask import Blueprint, current_app, request
from flask_login import current_user
from sqlalchemy.exc import IntegrityError

from tokenauth import TooManyAttemptsError, require_scopes, token_required

from .models import Account, auth, db, users

blueprint = Blueprint("api", __name__, url_prefix="/api")


@blueprint.post("/register")
def register():
    account = Account(email=request.json["email"])
    db.session.add(account)
    try:
        db.session.flush()
    except IntegrityError:
        return {"error": "This address has an account."}, 409
    auth.set_password(account, request.json["password"])  # commits
    return auth.login(account).to_response()


@blueprint.post("/forgot")
def forgot():
    account = users.find(request.json["email"])
    with suppress(TooManyAttemptsError):
        if account and account.is_active:
            token = auth.issue_once("reset-password", account, max_age=900)
            current_app.extensions["mail"](account.email, token)  # yours, in a queue
    return {"message": "If this address has an account, a link is on its way."}


@blueprint.post("/reset")
def reset():
    token, password = request.json["token"], request.json["password"]
    auth.redeem("reset-password", token, new_password=password)
    return {"message": "Log in with the new password."}


@blueprint.post("/orders")
@token_required
@require_scopes("orders")
def order():
    return {"ordered_by": current_user.email}, 201

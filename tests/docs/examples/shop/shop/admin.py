"""The admin area: cookie logins, and forms with a CSRF token."""

from flask import Blueprint, redirect, render_template_string, request
from flask_login import current_user, login_user, logout_user

from tokenauth import AuthError, require_scopes

from .models import auth

blueprint = Blueprint("admin", __name__, url_prefix="/admin")
FORM = """{{ text }} <form method=post action=/admin/{{ action }}>
<input type=hidden name=csrf_token value="{{ csrf_token() }}">
<input name=email> <input type=password name=password> <button>Go</button></form>"""


@blueprint.route("/login", methods=["GET", "POST"])
def login():
    problem, form = "", request.form
    if form:
        try:
            login_user(auth.check_password(form["email"], form["password"]))
            return redirect("/admin/")
        except AuthError as error:
            problem = error.description
    return render_template_string(FORM, text=problem, action="login")


@blueprint.get("/")
@require_scopes("staff")
def index():
    return render_template_string(FORM, text=current_user.email, action="logout")


@blueprint.post("/logout")
def logout():
    logout_user()
    return redirect("/admin/login")

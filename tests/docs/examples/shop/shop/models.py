"""The table of accounts as the shop had it, and the user store on it."""

from flask_login import UserMixin
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.exc import SQLAlchemyError

from tokenauth import StoreUnavailableError, TokenAuth, fold_username, folded_name

auth, db = TokenAuth(), SQLAlchemy()
auth.login_manager.login_view = "admin.login"


class Account(UserMixin, db.Model):
    """A customer or a member of staff; old hashes are Werkzeug's."""

    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String(254), unique=True, nullable=False)
    folded_email = db.Column(db.String(254), unique=True, nullable=False)
    password_hash = db.Column(db.String(255))
    scopes = db.Column(db.Text, nullable=False, default="orders")
    is_active = db.Column(db.Boolean, nullable=False, default=True)
    username = db.synonym("email")
    __table_args__ = {"sqlite_autoincrement": True}  # no id is given twice

    @db.validates("email")
    def fold_email(self, key, email):
        self.folded_email = folded_name(email)
        return email


def run(query):
    try:
        return db.session.execute(query.execution_options(populate_existing=True))
    except SQLAlchemyError as error:
        db.session.rollback()
        raise StoreUnavailableError(reason=error) from None


class AccountStore:
    """What tokenauth asks the table for."""

    def get(self, user_id):
        return self.first(id=int(user_id)) if user_id.isdecimal() else None

    def find(self, username):
        return self.first(folded_email=fold_username(username) or "")

    def first(self, **wanted):
        return run(db.select(Account).filter_by(**wanted)).scalar()

    def set_password_hash(self, user_id, new, *, expected):
        row = db.update(Account).filter_by(id=int(user_id), password_hash=expected)
        count = run(row.values(password_hash=new)).rowcount
        db.session.commit()
        return count == 1


users = AccountStore()
auth.login_manager.user_loader(users.get)

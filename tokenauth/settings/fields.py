"""The settings: names, types and defaults, and what a value must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from ..accounts.hash_schemes import Argon2Cost
from ..accounts.passwords import Verifier
from ..tokens.redact import Redacted

_DAY: Final = 86400
_CENTURY: Final = 36500 * _DAY

# A message is "<key> must be <description>.". Patterns are searched for, so they are
# anchored at both ends.


def _seconds(low: float, high: float, which: str) -> Meta:
    description = f"a number of seconds or a timedelta, {which}"
    return Meta(ge=low, le=high, description=description)


_Duration = Annotated[float, _seconds(0, _CENTURY, "from 0 to 100 years")]
_Lifetime = Annotated[float, _seconds(1, _CENTURY, "1 second to 100 years")]
_Lag = Annotated[
    float, _seconds(0, 10, "at most 10: an ended session may be served that long")
]
_WHOLE: Final = "a whole number, at least 1 and at most a billion"
_Count = Annotated[int, Meta(ge=1, le=10**9, description=_WHOLE)]
_OptionalCount = Annotated[_Count | None, Meta(description=_WHOLE)]
_Flag = Annotated[
    bool, Meta(description="True or False (in the environment: true or false)")
]
_NOT_EMPTY: Final = "a text that is not empty"
_Text = Annotated[str, Meta(pattern=r"\S", description=_NOT_EMPTY)]
_OptionalText = Annotated[_Text | None, Meta(description=_NOT_EMPTY)]
_Path = Annotated[
    str,
    Meta(
        pattern=r"^(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9._~-]+)+\Z",  # RFC 3986 section 2.3
        description="a path of letters, digits and '-._~' that begins with '/' and "
        "does not end with '/', for example '/auth'",
    ),
]
_Realm = Annotated[
    str,
    Meta(
        pattern=r"^(?! *\Z)[ !#-\[\]-~]+\Z",  # RFC 6750 section 3
        description="printable ASCII without quotes and backslashes (it is sent in the "
        "WWW-Authenticate header; the default is the application's name)",
    ),
]
_Host = Annotated[
    Annotated[str, Meta(pattern=r"^(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d+)?\Z")] | None,
    Meta(
        description="a host name in lower case, with its port unless that is the usual "
        "one of HTTP or HTTPS, for example 'api.example.com'"
    ),
]
# RFC 9110 section 5.6.2; and none that has another use.
_HEADER: Final = r"^(?!(?i:cookie|host|content-.*)\Z)[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z"
_Header = Annotated[
    str,
    Meta(
        pattern=_HEADER,
        description="the name of a header without another use, as is 'X-Api-Token'",
    ),
]
_SameSite = Annotated[
    Literal["Strict", "Lax", "None"], Meta(description="'Strict', 'Lax' or 'None'")
]
_Domain = Annotated[  # no IP address, no port
    Annotated[str, Meta(pattern=r"^(?:[a-z0-9-]+\.)+[a-z][a-z0-9-]*\Z")] | None,
    Meta(description="a domain in lower case, for example 'example.com'"),
]
# As browsers send them (RFC 6454 section 6.2): without the scheme's own port.
_ORIGIN: Final = (
    r"^(?!https://.*:443\Z|http://.*:80\Z)[a-z][a-z0-9+.-]*://"
    r"(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d+)?\Z"
)
_Origins = Annotated[
    tuple[Annotated[str, Meta(pattern=_ORIGIN)], ...],
    Meta(description='a list like ["https://app.example.com"]: lower case, no path'),
]
_Limits = Annotated[
    str,
    Meta(pattern=r"\S", description="a text, for example '9 per day', or a list"),
]
_Function = Annotated[
    Callable[[str], bool] | None,
    Meta(description="a function from a password to whether a breach made it known"),
]
_Verifier = Annotated[
    Verifier | None,
    Meta(
        description="a function of a stored hash and a password, which returns True, "
        "False, or None where it does not know the hash"
    ),
]


class Settings(
    Redacted,
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename=lambda name: f"TOKENAUTH_{name.upper()}",
):
    """What one application is configured with; the README says what each setting does.

    Each field is read from the key of its name; durations are in seconds.
    """

    secret_key: bytes = b""  # empty where tokens are only verified
    secret_key_fallbacks: tuple[bytes, ...] = ()  # oldest first
    signing_key: bytes | None = None
    signing_key_fallbacks: tuple[bytes, ...] = ()  # public keys, oldest first
    verify_keys: tuple[bytes, ...] | str = ()  # or the address of them
    url_prefix: _Path = "/auth"
    host: _Host = None
    header: _Header = "Authorization"
    realm: _Realm
    docs: _Flag = True
    access_lifetime: _Lifetime = 15 * 60
    session_lifetime: _Lifetime = 30 * _DAY
    session_idle_lifetime: _Lifetime = 7 * _DAY
    session_check_lag: _Lag = 0
    session_limit: _Count = 100
    refresh_grace: _Duration = 10
    refresh_other_networks: _OptionalCount = None
    refresh_cookie: _Flag = False
    refresh_cookie_samesite: _SameSite = "Strict"
    refresh_cookie_domain: _Domain = None
    origins: _Origins = ()
    clock_leeway: _Duration = 30
    users_url: _OptionalText = None
    session_url: _Text = "memory://"
    query_param: _OptionalText = None
    password_min_length: _Count = 8  # characters
    password_max_length: _Count = 1024  # bytes
    password_breach_check: _Function = None
    password_concurrency: _Count = 1
    password_upgrade: _Flag = True
    password_verifier: _Verifier = None
    argon2_memory_cost: _Count = Argon2Cost().memory
    argon2_time_cost: _Count = Argon2Cost().time
    argon2_parallelism: _Count = Argon2Cost().parallelism
    login_limits: _Limits = "30 per minute; 100 per day"
    limits_url: _Text = "memory://"

    @property
    def header_key(self) -> str:
        """The WSGI name of the header that carries the token."""
        return f"HTTP_{self.header.upper().replace('-', '_')}"

    @property
    def secret_keys(self) -> tuple[bytes, ...]:
        """All secrets, oldest first; the last one signs."""
        return (*self.secret_key_fallbacks, self.secret_key)

    @property
    def argon2(self) -> Argon2Cost:
        """The cost of hashing a password."""
        return Argon2Cost(
            self.argon2_memory_cost, self.argon2_time_cost, self.argon2_parallelism
        )


FIELDS: Final = {f.encode_name: f for f in msgspec.structs.fields(Settings)}
"""The fields by the keys that they are read from."""

"""The HTTP API: its endpoints, their bodies, and the description of all of them."""

from . import logins, tokens

ROUTES = (
    *logins.endpoint.routes,
    *tokens.endpoint.routes,
    *tokens.service_endpoint.routes,
)
"""The endpoints that the description lists."""

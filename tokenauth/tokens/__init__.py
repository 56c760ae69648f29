"""What a token is: header grammar, claims, signing, keys, scopes.

Imports no Flask: `AccessTokenVerifier` is for any Python service.
"""

from .access import AccessTokenVerifier
from .claims import Claims
from .header import read_header

__all__ = ["AccessTokenVerifier", "Claims", "read_header"]

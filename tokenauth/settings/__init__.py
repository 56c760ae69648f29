"""Settings: `SECRET_KEY` and `TOKENAUTH_*`, read once at start, checked and frozen."""

from .fields import Settings
from .loading import KNOWN, load

__all__ = ["KNOWN", "Settings", "load"]

"""What a deployment decided, looked over: what is good, and what is to be mended.

Only what is safe gets this far (see `config`); here is what may still be unwise, and
what shows at run time only. No finding quotes a secret or a URL.
"""

from .findings import Finding, Level
from .settings import review_settings
from .stores import review_stores

__all__ = ["Finding", "Level", "review_settings", "review_stores"]

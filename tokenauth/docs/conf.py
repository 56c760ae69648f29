"""How `make docs` builds the site; a warning, a broken link or a missing name fails it.

The theme is Furo: kept by a maintainer of pip, readable on a phone and without scripts,
light and dark, and it loads nothing from other hosts. The pages are Markdown (MyST),
so that they can be read without the site, too.
"""

from __future__ import annotations

import importlib
import inspect
from importlib.metadata import version as version_of
from pathlib import Path

from docutils import nodes
from docutils.nodes import document
from pygments.lexers.special import TextLexer
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.highlighting import lexers

project = "tokenauth"
author = "The tokenauth authors"
copyright = f"2026, {author}"  # noqa: A001 # Sphinx's name
version = release = version_of("flask-login-tokenauth")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
root_doc = "index"
nitpicky = True

html_theme = "furo"
html_title = f"tokenauth {version}"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
lexers["conf"] = TextLexer()  # lines of redis.conf

# -- the Python API: docstrings, in whose text `name` is code -----------------------

default_role = "literal"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# -- names of other projects --------------------------------------------------------

# Text files of ours with the names that are linked to (format 1 of Sphinx), not copies
# of whole inventories: a build needs no network, and a diff shows what changes.
HERE = Path(__file__).parent
SITES = {
    "blinker": "https://blinker.readthedocs.io/en/stable/",
    "flask": "https://flask.palletsprojects.com/en/stable/",
    "flask-login": "https://flask-login.readthedocs.io/en/latest/",
    "itsdangerous": "https://itsdangerous.palletsprojects.com/en/stable/",
    "python": "https://docs.python.org/3/",
    "redis": "https://redis.readthedocs.io/en/stable/",
    "sqlalchemy": "https://docs.sqlalchemy.org/en/20/",
    "werkzeug": "https://werkzeug.palletsprojects.com/en/stable/",
}
intersphinx_mapping = {
    name: (site, str(HERE / f"inventories/{name}.inv")) for name, site in SITES.items()
}

# A signature names a class by the module where it is written; readers know another.
ALIASES = {
    "flask.app.Flask": "flask.Flask",
    "flask.wrappers.Response": "flask.Response",
    "redis.client.Redis": "redis.Redis",
} | {
    f"{thing.__module__}.{thing.__qualname__}": f"{name}.{attribute}"
    for name in ("tokenauth", "tokenauth.stores.sql", "tokenauth.stores.redis")
    for module in [importlib.import_module(name)]
    for attribute in module.__all__
    for thing in [getattr(module, attribute)]
    if inspect.isclass(thing)
}
nitpick_ignore_regex = [
    ("py:class", r"(tokenauth\.web\..*\.)?(P|R|ResponseT)"),  # type variables
    ("py:class", r"CollectorRegistry|.*\.(Argon2Cost|Endings)"),  # told in words
]


def name_publicly(_app: Sphinx, doctree: document) -> None:
    """Let types link to, and show, the names that the reference has."""
    for node in doctree.findall(pending_xref):
        if known := ALIASES.get(node["reftarget"]):
            node["reftarget"] = known
            text = nodes.literal if isinstance(node[0], nodes.literal) else nodes.Text
            node[:] = [text(known, known) if text is nodes.literal else text(known)]


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("doctree-read", name_publicly)

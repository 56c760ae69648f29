"""Each engine keeps what every store promises."""

from tests.stores.contract import *  # noqa: F403 # the tests are what is wanted

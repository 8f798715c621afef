"""A browser, for those acceptance tests that walk through the pages."""

from tests.web.conftest import browser, browsing

__all__ = ["browser", "browsing"]

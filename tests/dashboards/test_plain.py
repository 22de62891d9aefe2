"""Dashboards over the three cities on plain PostgreSQL: a file, and so a process, a tier."""

import pytest

from tests.dashboards.alerts import *  # noqa: F403 - the tests are taken up as they are
from tests.dashboards.faults import *  # noqa: F403
from tests.dashboards.parts import *  # noqa: F403
from tests.dashboards.queries import *  # noqa: F403
from tests.dashboards.sums import *  # noqa: F403


@pytest.fixture(scope="module")
def tier() -> str:
    """The tier of this file."""
    return "plain"

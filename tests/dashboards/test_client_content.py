"""When two dashboards say the same: the digest and the comparison behind it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qytet_dashboards.grafana.content import differences, digest, normalised
from tests.dashboards.client_fixtures import board

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=12,
)
_BOARDS = st.dictionaries(st.sampled_from(["title", "panels", "links", "refresh", "uid"]), _JSON)


@settings(max_examples=30, deadline=None)
@given(_BOARDS, st.integers(), st.integers())
def test_what_grafana_sets_is_no_content(content: dict, number: int, version: int) -> None:
    """Whatever id and version Grafana gives, a dashboard's digest stays, and so does what is given."""
    before = dict(content)
    assert digest("f", {**content, "id": number, "version": version}) == digest("f", content)
    assert content == before


@settings(max_examples=30, deadline=None)
@given(_BOARDS, _BOARDS)
def test_digest_and_differences_agree(one: dict, other: dict) -> None:
    """Two dashboards have one digest if and only if the comparison finds no difference."""
    same = not list(differences(normalised(one), normalised(other)))
    assert (digest("f", one) == digest("f", other)) == same


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Other"},
        {"editable": False},
        {"refresh": "1m"},
        {"graphTooltip": 1},
        {"templating": {"list": []}},
        {"annotations": {"list": [{"name": "Events", "enable": True}]}},
    ],
)
def test_a_change_is_a_change(change: dict) -> None:
    """What people see differs, so does the digest; another folder, too."""
    content = board("x", "X")
    assert digest("f", {**content, **change}) != digest("f", content)
    assert digest("g", content) != digest("f", content)


def test_order_of_panels_and_names() -> None:
    """Members of a list that have names are compared by name; their order is a difference of its own."""
    have, want = [{"name": "a", "x": 1}, {"name": "b"}], [{"name": "b"}, {"name": "a", "x": 2}]
    assert [change.path for change in differences(have, want, "list")] == ["list[a].x", "list(order)"]

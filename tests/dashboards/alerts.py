"""Every alert rule over the three cities: it can be evaluated, fires for what is wrong and not for what is well."""

import pytest

from tests.dashboards.alerting import evaluated
from tests.dashboards.asking import Asker
from tests.dashboards.boards import Json, rules
from tests.dashboards.grafana import expressions


@pytest.mark.parametrize("rule", rules(), ids=[rule["uid"] for rule in rules()])
def test_a_rule_can_be_evaluated(asker: Asker, rule: Json) -> None:
    """Each query of a rule becomes labelled numbers or series, and its condition decides about them."""
    condition = evaluated(asker, rule)[rule["condition"]]
    assert all(isinstance(one, expressions.Number) for one in condition)
    if not condition:
        assert rule.get("noDataState") == "OK", "no row over healthy devices, and no data is not OK"

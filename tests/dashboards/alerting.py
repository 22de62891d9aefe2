"""Evaluates an alert rule as Grafana does: its queries, its expressions, and which subjects fire."""

from datetime import timedelta

from tests.dashboards import needs
from tests.dashboards.asking import Asker, unknown_names
from tests.dashboards.boards import Json
from tests.dashboards.grafana import expressions
from tests.dashboards.grafana.expand import Context, expand
from tests.dashboards.grafana.frames import FrameError, as_format
from tests.dashboards.grafana.macros import TimeRange, without_comments


def evaluated(asker: Asker, rule: Json) -> dict[str, expressions.Values]:
    """What every node of a rule gives now.

    Raises:
        FrameError: the evaluation of the rule would fail.
    """
    found: dict[str, expressions.Values] = {}
    for node in rule["data"]:
        model = node["model"]
        if model.get("refId", node["refId"]) != node["refId"]:
            raise FrameError(f"{rule['uid']}: {node['refId']} calls itself {model['refId']}")
        if node["datasourceUid"] in ("__expr__", "-100"):
            found[node["refId"]] = expressions.evaluate(model, found)
            continue
        sql = model["rawSql"]
        if without_comments(sql) != sql or unknown_names(sql, None):
            raise FrameError(f"{rule['uid']}: a comment, or a variable, which rules do not know")
        frame = asker.rows(expand(sql, _context(asker, node)).sql)
        if wrong := needs.types([frame]):
            raise FrameError(f"{rule['uid']}: {wrong}")
        found[node["refId"]] = expressions.read(as_format(frame, model["format"]))
    return found


def _context(asker: Asker, node: Json) -> Context:
    span = node["relativeTimeRange"]
    since, till = (asker.now - timedelta(seconds=int(span[end])) for end in ("from", "to"))
    return Context(TimeRange(since, till))


def firing(asker: Asker, rule: Json) -> list[dict[str, str]]:
    """The labels of every subject for which a rule fires now."""
    condition = evaluated(asker, rule)[rule["condition"]]
    return [dict(one.labels) for one in condition if isinstance(one, expressions.Number) and one.value == 1]

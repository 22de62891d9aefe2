"""The table of all rules that the pages about alerts show, so that it cannot tell anything but the truth."""

from qytet.messages import text
from qytet_dashboards.alerts import RULES
from qytet_dashboards.alerts.rule import Rule, anchor

__all__ = ["BEGIN", "END", "filled", "table"]

BEGIN, END = "<!-- rules: written by docs/alerts_page.py -->", "<!-- end of rules -->"
_HEADS = {
    "sq": "| alarmi | rëndësia | kur | pas | emri në Grafana |",
    "en": "| alert | priority | when | for | name in Grafana |",
}


def table(language: str) -> str:
    """One row a rule in Markdown, by domain."""
    return "\n".join([_HEADS[language], "|---|---|---|---|---|", *(_row(rule, language) for rule in RULES)])


def _row(rule: Rule, language: str) -> str:
    title = rule.title(language)
    when = text(f"alerts.{rule.name}_when", language)
    priority = text(f"alerts.priority_{rule.priority}", language)
    return f"| [{title}](#{anchor(title)}) | {priority} | {when} | {rule.lasting} | `{rule.uid}` |"


def filled(page: str, language: str) -> str:
    """The page with the table between its two marks. Raises ValueError if a mark is missing."""
    head, begin, rest = page.partition(BEGIN)
    _old, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The page lacks {BEGIN if not begin else END}")
    return f"{head}{BEGIN}\n\n{table(language)}\n\n{END}{tail}"

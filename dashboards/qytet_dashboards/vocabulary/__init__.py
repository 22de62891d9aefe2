"""The small language that every dashboard is written in: queries, panels, variables, units, colours, words."""

from qytet_dashboards.vocabulary.board import Board, place
from qytet_dashboards.vocabulary.panels import Panels
from qytet_dashboards.vocabulary.sql import DATASOURCE, Sql, grafana_sql
from qytet_dashboards.vocabulary.words import Words

__all__ = ["DATASOURCE", "Board", "Panels", "Sql", "Words", "grafana_sql", "place"]

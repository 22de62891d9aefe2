"""What an alert rule's expressions make of a query's frames: labelled numbers, and whether they fire.

Behaviour of Grafana's server side expressions (`pkg/expr`). A table becomes numbers only if it has exactly one number
column and otherwise text; a time series must be reduced before it can be compared.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from tests.dashboards.grafana.frames import NUMBER, TEXT, TIME, Field, Frame, FrameError, shape


@dataclass(frozen=True, slots=True)
class Number:
    """One value with its labels; NaN is a null."""

    value: float
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Series:
    """Points with their labels."""

    values: tuple[float | None, ...]
    labels: Mapping[str, str]


Values = list[Number] | list[Series]


def read(frame: Frame) -> Values:
    """The numbers or series of a query's frame; none if it has no rows.

    Raises:
        FrameError: the evaluation of a rule would fail.
    """
    if not frame.fields:
        return []
    if shape(frame) == "not":
        return _numbers(frame)
    if shape(frame) == "long":
        raise FrameError("input data must be a wide series but got type long")
    return [Series(tuple(one.values), one.labels) for one in frame.fields if one.kind not in (TIME, TEXT)]


def _numbers(frame: Frame) -> list[Number]:
    others = [one.name for one in frame.fields if one.kind not in (NUMBER, TEXT)]
    numbers = frame.of(NUMBER)
    if others or len(numbers) != 1:
        raise FrameError(
            f"input data must be a wide series but got type not: number columns {[n.name for n in numbers]}, "
            f"neither number nor text {others}"
        )
    texts = frame.of(TEXT)
    found = [_number(numbers[0], texts, row) for row in range(frame.rows)]
    _refuse_twins(found)
    return found


def _number(values: Field, texts: Sequence[Field], row: int) -> Number:
    value = values.values[row]
    return Number(math.nan if value is None else value, {one.name: one.values[row] or "" for one in texts})


def _refuse_twins(found: Sequence[Number]) -> None:
    seen = [tuple(sorted(number.labels.items())) for number in found]
    if len(set(seen)) < len(seen):
        twin = next(labels for labels in seen if seen.count(labels) > 1)
        raise FrameError(
            f"frame cannot uniquely be identified by its labels: has duplicate results with labels {dict(twin)}"
        )


_REDUCERS: Mapping[str, Any] = {
    "last": lambda values: values[-1],
    "min": min,
    "max": max,
    "sum": math.fsum,
    "mean": fmean,
    "count": len,
}
_COMPARE: Mapping[str, Any] = {
    "gt": lambda value, limits: value > limits[0],
    "lt": lambda value, limits: value < limits[0],
    "gte": lambda value, limits: value >= limits[0],
    "lte": lambda value, limits: value <= limits[0],
    "eq": lambda value, limits: value == limits[0],
    "ne": lambda value, limits: value != limits[0],
    "within_range": lambda value, limits: limits[0] < value < limits[1],
    "outside_range": lambda value, limits: value < limits[0] or value > limits[1],
}


def evaluate(model: Mapping[str, Any], inputs: Mapping[str, Values]) -> Values:
    """One expression: `reduce` or `threshold` over what the nodes before it gave.

    Raises:
        FrameError: its input is missing or of the wrong kind, or the expression is of a type not known here.
    """
    source = inputs.get(str(model.get("expression", "")).removeprefix("$").strip("{}"))
    if source is None:
        raise FrameError(f"expression {model.get('refId')} has no input {model.get('expression')!r}")
    if model["type"] == "reduce":
        return [_reduced(one, model) for one in source]
    if model["type"] == "threshold":
        return [_compared(one, model["conditions"][0]["evaluator"]) for one in source]
    raise FrameError(f"expressions of type {model['type']!r} are not known here")


def _reduced(one: Number | Series, model: Mapping[str, Any]) -> Number:
    if isinstance(one, Number):
        return one
    values = [value for value in one.values if value is not None and not math.isnan(value)]
    if (model.get("settings") or {}).get("mode") != "dropNN" and len(values) < len(one.values):
        return Number(math.nan, one.labels)
    if not values and model["reducer"] != "count":
        return Number(math.nan, one.labels)
    return Number(float(_REDUCERS[model["reducer"]](values)), one.labels)


def _compared(one: Number | Series, evaluator: Mapping[str, Any]) -> Number:
    if isinstance(one, Series):
        raise FrameError("a threshold over a series alerts on no single value: reduce it first")
    fires = not math.isnan(one.value) and _COMPARE[evaluator["type"]](one.value, evaluator["params"])
    return Number(float(fires), one.labels)

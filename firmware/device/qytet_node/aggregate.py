"""What a report says of the samples since the last one: one number a key, by the rule that the profile gives.

    mean   last   sum   min   max      as they say; `counter` is `last` of a number that only grows
    circular                           mean of directions in degrees, 0 to 360 (WMO-No. 8)
    weighted KEY                       mean weighted by another key of the same sample: speeds by vehicles

A key that was measured without a value is null; a key that nobody measured is not in the report.
"""

import math


class Window:
    """`kinds` maps keys to rules. `add` takes samples, `take` gives the report and begins anew."""

    def __init__(self, kinds):
        self.kinds = kinds
        self._state = {}

    def add(self, values):
        """A sample: keys to numbers, or None for "measured, no value"; keys without a rule are passed over."""
        for key, value in values.items():
            kind = self.kinds.get(key)
            if kind is None:
                continue
            if value is None or value != value:
                self._state.setdefault(key, None)
                continue
            rule, _, other = kind.partition(" ")
            weight = values.get(other) if other else 1
            if weight:
                self._state[key] = _folded(rule, self._state.get(key), value, weight)
            else:
                self._state.setdefault(key, None)

    def miss(self):
        """A sample that was tried and failed: its keys are null if nothing better comes."""
        for key in self.kinds:
            self._state.setdefault(key, None)

    def take(self):
        """Keys to numbers or None; empty if nothing was measured."""
        state, self._state = self._state, {}
        return {key: None if found is None else _result(found) for key, found in state.items()}


def _folded(rule, state, value, weight):
    """The state with one more value: (weight so far, number), of directions (how many, number, number)."""
    if rule == "circular":
        x, y = math.cos(math.radians(value)), math.sin(math.radians(value))
        return (1, x, y) if state is None else (state[0] + 1, state[1] + x, state[2] + y)
    if state is None:
        return (weight, value)
    total, before = state[0] + weight, state[1]
    if rule in ("mean", "weighted"):  # not by sums: a float of 32 bits has seven digits
        value = before + (value - before) * weight / total
    elif rule == "sum":
        value += before
    elif rule == "min":
        value = min(before, value)
    elif rule == "max":
        value = max(before, value)
    return (total, value)


def _result(state):
    if len(state) == 2:
        return state[1]
    count, x, y = state
    if math.sqrt(x * x + y * y) < 0.001 * count:
        return None  # from everywhere alike: there is no mean direction
    return math.degrees(math.atan2(y, x)) % 360

"""What crosses the broker: topics, payloads, properties and codes; one source for CPython and MicroPython.

    codes        why something is refused, how time is known, how good a value is
    topics       the names under which messages travel
    strictjson   JSON without ambiguity: no duplicate key, no NaN, bounded depth and length
    records      the readings: `obs` and `hist`
    notices      everything that is not a reading: birth, state, stored, cmd, ack, log
    properties   the table of observed properties, generated from catalogue.csv

Nothing here imports what MicroPython does not have.
"""

VERSION = 1
"""The contract's version: the `v` of every payload and the `v1` of every topic."""

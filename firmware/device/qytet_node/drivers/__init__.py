"""One chip a file: passive, its bus injected, nothing runs at import.

A driver has `PROPERTIES` (what it measures, as the catalogue calls it), `WARM_UP_MS` (how long after `start` its values
mean nothing), `MIN_INTERVAL_MS` (how soon it may be read again), and

    async start()          wake and configure it; raises SensorError
    async read() -> dict   property (or property:channel) to a number, or None for "measured, no value"
    async stop()           let it sleep; never raises
"""

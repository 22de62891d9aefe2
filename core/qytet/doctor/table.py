"""The table of checks: a new check is a function in its group's file and a row here."""

from qytet.doctor import broker, configuration, database, host, services
from qytet.doctor.context import Check

__all__ = ["CHECKS"]

CHECKS = (
    Check("settings", "sources", configuration.origin),
    Check("settings", "exposure", configuration.exposure),
    Check("host", "Python", host.python),
    Check("host", "packages", host.packages),
    Check("host", "disk", host.disk),
    Check("host", "data folder", host.data_folder),
    Check("host", "clock", host.clock),
    Check("host", "time zone", host.time_zone),
    Check("host", "ports", host.ports),
    Check("database", "connection", database.database, timeout=20),
    Check("database", "reader", database.reader, timeout=20),
    Check("broker", "connection", broker.broker, timeout=20),
    Check("services", "API", services.api),
    Check("services", "ingest", services.ingest),
)

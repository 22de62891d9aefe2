"""Three cities of the simulators with known faults, as a database that dashboards can be asked about."""

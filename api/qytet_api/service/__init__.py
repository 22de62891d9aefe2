"""Health, readiness, version and metrics of this service."""

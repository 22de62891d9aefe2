"""Grafana for the cities as code: dashboards, alert rules, their files, and a client for a running Grafana."""

"""A running Grafana: what of our dashboards, folders, alert rules and permissions it holds, and how it gets the rest.

The commands (`commands`) make findings (`findings`) by comparing the files (`files`, `alert_files`) with the
server (`dashboards`, `folders`, `alerts`, `contacts`, `access`), over one connection (`server`).
"""

"""What Grafana does with a dashboard's queries, written anew from its documentation and its sources' behaviour.

Grafana 11.6 is meant; where 12 differs (SQL comments), `macros` knows both.
"""

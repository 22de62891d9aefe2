"""MQTT to database: receive, decode, check, batch, write, commit, acknowledge."""

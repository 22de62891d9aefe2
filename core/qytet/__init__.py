"""What the server side shares: settings, errors, logs, the `qytet` command and the database."""

"""The HTTP API over the database's views; one folder a resource."""

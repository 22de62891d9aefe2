"""What crosses the database: migrations, views, connections, registry."""

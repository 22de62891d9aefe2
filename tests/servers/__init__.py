"""Real servers for tests and benchmarks: where they come from and how they run; no pytest in here."""

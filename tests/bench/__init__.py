"""Benchmarks: ratios within one run, on real servers; `make bench`. They are no tests and time nothing in tests."""

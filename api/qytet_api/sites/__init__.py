"""The places where devices stand."""

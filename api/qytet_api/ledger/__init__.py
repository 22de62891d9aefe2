"""The delivery ledger: what arrived of each boot, and what is missing."""

"""Datastreams: what each device measures, in which unit."""

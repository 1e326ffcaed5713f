"""Engines: each runs the transformer networks on one kind of device."""

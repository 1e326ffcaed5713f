"""Engines run the transformer networks on a device."""

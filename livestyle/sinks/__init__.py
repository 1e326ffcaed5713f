"""Sinks, which frames are written to: windows and video files."""

"""Move frames from a source to sinks: channels, the pipeline, look sources, smoothing and fan-out."""

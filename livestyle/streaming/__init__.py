"""Take frames from a source to sinks: channels, the pipeline, looks over time, smoothing and fan-out."""

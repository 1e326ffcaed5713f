"""The trainer. Read in this order: config, content/crops, losses/, objective, painter, setup, step, loop."""

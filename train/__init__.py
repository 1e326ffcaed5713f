"""The trainer. To understand it, read the modules in this order: config, content/crops, losses, objective, painter, setup,
step, loop.
"""

"""The trainer. Read in this order: config, content, loss_network, losses, checkpoint, loop."""

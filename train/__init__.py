"""The trainer. Read in this order: config, content, loss_network, objective, loop; the rest are their parts."""

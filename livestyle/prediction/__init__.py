"""Predict a style's rows from a picture of a painting, without training; NumPy only, as it must run without PyTorch."""

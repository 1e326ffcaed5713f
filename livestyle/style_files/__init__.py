"""Style files: their format, how they are found, managed and named."""

"""The web server of `livestyle serve`: a page whose camera is painted on this machine, and an HTTP API."""

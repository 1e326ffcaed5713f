"""The bundled conf files."""

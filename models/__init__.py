"""The bundled bodies and styles."""

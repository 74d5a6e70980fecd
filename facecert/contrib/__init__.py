"""Glue for web frameworks. Nothing here is imported by the rest of facecert."""

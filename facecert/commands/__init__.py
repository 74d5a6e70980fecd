"""The commands of the command line, one a module, and the rooms that they share.

Each ``<name>.py`` holds a ``command``; ``facecert.cli`` imports it only when it is called.
"""

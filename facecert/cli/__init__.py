"""The command line: ``main`` has the group; each command is the module with its name."""

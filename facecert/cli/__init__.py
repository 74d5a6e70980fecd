"""The command line: ``main`` holds the group, each command has a module of its name."""

"""The commands of ``oppertune``, a module a group; each is a few lines, what it does is in its own module."""

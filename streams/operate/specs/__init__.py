"""Tuner specs on disk: reading and checking one, and writing one to begin with."""

"""Commands to the workers: what there is to ask for, and waiting for its effect."""

"""What the topics say: tuners, rounds, dead letters, how far a partition was applied, and what happens right now."""

"""What was read, for people: text, why a tuner waits, lines of a watch, pictures, and tables in files."""

"""What an app imports: live configuration, measuring, and the last known good values when nobody answers."""

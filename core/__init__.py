"""Parameter values, contexts, requests, errors and JSON-safe state. Depends on numpy only."""

if __name__ != "oppertune.core":
    raise ImportError(
        f"import this package as 'oppertune.core', not as {__name__!r}: install the project (pip install -e .)"
    )

"""The service around the algorithms: client, processor, worker, broker and operation."""

if __name__ != "oppertune.streams":
    raise ImportError(
        f"import this package as 'oppertune.streams', not as {__name__!r}: install the project (pip install -e .)"
    )

"""The learners, one file each, and the contract they keep."""

if __name__ != "oppertune.algorithms":
    raise ImportError(
        f"import this package as 'oppertune.algorithms', not as {__name__!r}: install the project (pip install -e .)"
    )

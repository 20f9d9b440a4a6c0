"""The learners and the contract that they keep.

``base`` is the contract, ``all`` the registry, ``testing`` the conformance suite, ``shared`` what several learners use;
everything else is one learner, a folder where it has parts of its own.
"""

if __name__ != "oppertune.algorithms":
    raise ImportError(
        f"import this package as 'oppertune.algorithms', not as {__name__!r}: install the project (pip install -e .)"
    )

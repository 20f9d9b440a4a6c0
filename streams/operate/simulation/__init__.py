"""A fleet that is only computed, tuned by the real processor on a virtual clock: try a spec before production.

The reading path: ``run.py`` (the clock, the worker's part) → ``fleet.py`` (instances follow records and report) →
``instance.py`` (one of them) → ``measuring.py`` (what it measures) → ``system.py`` (what a configuration does) →
``truth.py`` (what it cost, which only a simulation knows) → ``report.py`` (figures and a picture).
"""

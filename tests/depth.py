"""How deep tests search for a counterexample: quickly for every commit, or as `HYPOTHESIS_PROFILE=deep` asks.

The quick profile tries the same inputs each time, so that `make test` depends on no luck; `make deep` tries many more,
and new ones each time.
"""

import os

from hypothesis import HealthCheck, settings

DEEPER = 20
"""How many times more inputs a deep search tries."""

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")

IS_DEEP = PROFILE == "deep"

settings.register_profile("quick", derandomize=True, database=None, deadline=None)
settings.register_profile(
    "deep",
    max_examples=100 * DEEPER,
    derandomize=False,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)


def examples(quick: int) -> int:
    """The number of inputs to try, where the quick profile tries `quick`."""
    return quick * DEEPER if IS_DEEP else quick

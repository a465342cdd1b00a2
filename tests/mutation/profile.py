"""A pytest plugin: how property tests run against a mutant, so that it lives or dies the same way every time."""

from __future__ import annotations

from hypothesis import Phase, settings

# A failure is all that is asked for: to make it smaller would take longer than to find it.
settings.register_profile(
    "mutants", derandomize=True, database=None, deadline=None, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("mutants")

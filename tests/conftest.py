"""Settings of the whole suite: reproducible draws, no deadline on shared machines."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "kvopt", deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("kvopt")

"""Settings of the whole suite: reproducible draws, no deadline on shared machines, interrupts that arrive."""

import signal

from hypothesis import HealthCheck, settings

settings.register_profile(
    "kvopt", deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("kvopt")

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would every command they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

"""A small world in which money leaks for known reasons, to score the finders against.

Each scene plays a part of the platform event by event, by code of its own: what is billed, and
whether the service holds. It injects causes (a forgotten deployment, a wrong size) and things that
only look like them (a warm standby that is paid for, a lull before the end of the month), and hands
out telemetry with noise and holes. Whether money leaks is decided by playing the scene again
without the cause: the bill falls, and the service holds. Nothing here knows the finders' rules.
"""

"""Serving: durations in seconds."""

from saas.settings.environment import value

SERVING_WAKE_WAIT_S = float(value("SERVING_WAKE_WAIT_S", "20"))  # a request waits for a replica
SERVING_SILENCE_S = float(value("SERVING_SILENCE_S", "15"))  # a replica without beats is gone
SERVING_ADAPTER_BYTES = int(value("SERVING_ADAPTER_BYTES", str(512 * 1024 * 1024)))  # kept loaded
SERVING_MAX_SEQUENCES = int(value("SERVING_MAX_SEQUENCES", "64"))  # at once in one replica
SERVING_BLOCK_TOKENS = int(value("SERVING_BLOCK_TOKENS", "256"))  # paid for ahead, a sequence
SERVING_HOLD_S = float(value("SERVING_HOLD_S", "900"))  # then a hold of a dead gateway ends

"""Broker and work: every value a duration in seconds unless it says otherwise."""

from saas.settings.environment import value

REDIS_URL = value("REDIS_URL", "redis://127.0.0.1:6379/0")
BROKER_URL = value("BROKER_URL") or REDIS_URL
LEASE_S = float(value("LEASE_S", "30"))  # a worker's right to act without a heartbeat
WORKER_CLASS = value("BREAKWATER_WORKER_CLASS", "cpu")  # of this process
WORKER_RATE_KIND = value("BREAKWATER_WORKER_RATE_KIND", "on_demand")  # or spot, reserved, owned
# A fine-tune may ask for several processes; so many it gets from a slot of this worker, at most: on
# `gpu`, the GPUs that are a slot's own.
WORKER_PROCESSES = int(value("BREAKWATER_WORKER_PROCESSES", "1"))
WORKER_CLASSES = value("WORKER_CLASSES", "cpu").split(",")  # that the platform runs
REAP_EVERY_S = float(value("REAP_EVERY_S", str(min(5.0, LEASE_S / 3))))
HINT_EVERY_S = float(value("HINT_EVERY_S", "5"))  # for jobs whose hint was lost, or that waited
SWEEP_EVERY_S = float(value("SWEEP_EVERY_S", "60"))
ORPHANS_EVERY_S = float(value("ORPHANS_EVERY_S", "86400"))  # walks the whole storage
PARTITIONS_EVERY_S = float(value("PARTITIONS_EVERY_S", "3600"))  # months of usage, made ahead
RECONCILE_EVERY_S = float(value("RECONCILE_EVERY_S", "5"))
PLUGINS_EVERY_S = float(value("PLUGINS_EVERY_S", "15"))  # tells them what they wait to hear
MEASURE_EVERY_S = float(value("MEASURE_EVERY_S", "600"))  # bases that lack a task's profile
WASTE_EVERY_S = float(value("WASTE_EVERY_S", "86400"))  # looks for what leaks, and at what it saved
METER_EVERY_S = float(value("METER_EVERY_S", "300"))  # counts the hours that have ended

# Shared passes: how many fine-tunes at most, and for how long after its start one lets others in,
# so that its slot comes free for other work in the end.
COHORT_MAX = int(value("COHORT_MAX", "16"))
COHORT_OPEN_S = float(value("COHORT_OPEN_S", "900"))

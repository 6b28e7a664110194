"""What waste, what stops it and its evidence are called on a page, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from saas.console.words import Word

KINDS: Mapping[str, Word] = {
    "idle_deployment": _("Kept awake for nobody"),
    "spare_replicas": _("Too many replicas"),
    "dense_models": _("Dense where smaller would do"),
    "faulty_worker": _("A worker that loses work"),
    "oversized_worker": _("On too dear a class of workers"),
    "small_passes": _("Training in small passes"),
    "lone_fine_tunes": _("Fine-tunes that could share passes"),
    "patient_work": _("On demand where spot would do"),
    "idle_workers": _("Workers without work"),
    "orphan_versions": _("Checkpoints that nobody uses"),
    "unused_files": _("Files that nobody reads"),
}
ACTIONS: Mapping[str, Word] = {
    "sleep": _("Let it sleep sooner"),
    "resize": _("Allow fewer replicas"),
    "drain": _("Let workers go"),
    "place": _("Move waiting jobs to another class"),
    "enlarge_passes": _("Enlarge the passes of waiting jobs"),
    "move_to_spot": _("Leave the work to spot workers"),
    "delete": _("Delete; can be restored for a while"),
    "expire": _("Let them expire; can be taken back"),
    "suggest_sharing": _("Suggest to the tenant that its fine-tunes share passes"),
    "propose_compression": _("Propose a compression to the tenant"),
}
STATES: Mapping[str, Word] = {
    "open": pgettext_lazy("finding", "Open"),
    "applied": _("Stopped"),
    "undone": _("Taken back"),
    "closed": pgettext_lazy("finding", "Closed"),
}
EVIDENCE: Mapping[str, Word] = {
    "resource": _("Resource"),
    "awake_hours": _("Hours awake"),
    "awake_hours_after": _("Hours awake afterwards"),
    "wakes": _("Wakings"),
    "wakes_after": _("Wakings afterwards"),
    "load_s": _("Seconds to load"),
    "unused_for_hours": _("Hours since the last call"),
    "replicas_on_average": _("Replicas on average"),
    "limit": _("Replicas allowed"),
    "needed_at_peak": _("Replicas needed at the peak"),
    "time_of_dense": _("Time, as a share of the dense model's"),
    "making": _("Cost of making it"),
    "lost_attempts": _("Attempts lost"),
    "hours_worked": _("Hours worked"),
    "lost_elsewhere_in_that_time": _("Lost elsewhere in as many hours"),
    "work_again_each_s": _("Seconds of work again, each time"),
    "better": _("Cheaper class"),
    "jobs": _("Jobs"),
    "slot_hours": _("Slot-hours"),
    "slot_hours_there": _("Slot-hours there"),
    "base": _("Base model"),
    "update_s": _("Seconds an update takes"),
    "update_in_larger_passes_s": _("Seconds in larger passes"),
    "update_alone_s": _("Seconds an update takes alone"),
    "update_beside_others_s": _("Seconds beside others"),
    "time_with_company": _("Share of the time with company"),
    "work_again": _("Share of work done again"),
    "spot_over_on_demand": _("Spot price over the price on demand"),
    "slots": _("Slots"),
    "slots_after": _("Slots afterwards"),
    "used_on_average": _("Slots used on average"),
    "used_at_peak": _("Slots used at the peak"),
    "objects": _("Objects"),
    "gigabytes": _("Gigabytes"),
    "idle_days_at_least": _("Days unused, at least"),
}
LEVERS: Mapping[str, Word] = {
    "cohort": _("Shared passes"),
    "compression": _("Compression"),
    "utilisation": _("Utilisation"),
    "procurement": _("Procurement"),
}

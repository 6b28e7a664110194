"""Words of unfold's templates that neither it nor Django translates; our catalogue does."""

from django.utils.translation import gettext_noop

BORROWED = (
    gettext_noop("Type to search"),
    gettext_noop("Filters"),
    gettext_noop("Light"),
    gettext_noop("Dark"),
    gettext_noop("System"),
    gettext_noop("Reset filters"),
    gettext_noop("Apply Filters"),
    gettext_noop("Previous"),
    gettext_noop("Next"),
    gettext_noop("No data"),
    gettext_noop("Log out"),
)

"""Django's settings: one module per concern, each read from the environment."""

from saas.settings.apps import *  # noqa: F403
from saas.settings.billing import *  # noqa: F403
from saas.settings.database import DATABASE_ROUTERS, DATABASES, DEFAULT_AUTO_FIELD  # noqa: F401
from saas.settings.i18n import *  # noqa: F403
from saas.settings.limits import *  # noqa: F403
from saas.settings.logs import LOGGING  # noqa: F401
from saas.settings.plugins import *  # noqa: F403
from saas.settings.pricing import *  # noqa: F403
from saas.settings.queues import *  # noqa: F403
from saas.settings.rest import *  # noqa: F403
from saas.settings.security import *  # noqa: F403
from saas.settings.serving import *  # noqa: F403
from saas.settings.storage import *  # noqa: F403
from saas.settings.stripe import *  # noqa: F403
from saas.settings.unfold import UNFOLD, UNFOLD_CONSOLE, UNFOLD_OPERATIONS  # noqa: F401
from saas.settings.webhooks import *  # noqa: F403

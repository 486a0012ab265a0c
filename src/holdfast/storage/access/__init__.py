"""Access: how one gets in to a site, and how long one waits at its doors."""

from holdfast.storage.access.keys import Keys
from holdfast.storage.access.site_access import DEFAULTS, Access, AccessSettings, access_settings

__all__ = ["DEFAULTS", "Access", "AccessSettings", "Keys", "access_settings"]

"""Access: how one gets in to a site, and how long one waits at its doors.

One Access serves all doors of a site in this process. Drivers ask it for what
they show to the storage right before they show it, each time anew: what is
renewed in the meantime is taken up without opening a door again.

Rules
  * Nothing of this is in the inventory: secrets stay in files of this machine,
    which ``holdfast.toml`` names.
  * A credential that would expire within ``renew_before_s`` is renewed first,
    by the site's ``renew_command``, once for all who wait for it; without a
    command its file is read again, because somebody else may have renewed it.
  * What has expired, or cannot be read, is OperatorError that names the file
    and the remedy, before the storage is asked. Nothing goes on without.
  * No secret is in any repr, error or log line.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from holdfast.model.clock import Clock, system_clock


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """What the configuration says of one site; None: the site asks for nothing of the kind."""

    proxy: Path | None = None
    """PEM: an X.509 proxy, or certificate and key."""
    token: Path | None = None
    """A file that holds one bearer token."""
    keys: Path | None = None
    """Keys of an object store, as in an AWS credentials file."""
    authorities: Path | None = None
    """A folder of hashed CA certificates, or a bundle; None: those of the system."""
    renew_command: tuple[str, ...] = ()
    """Run to renew whatever of the above is about to expire."""
    renew_before_s: float = 600.0
    connect_timeout_s: float = 5.0
    call_timeout_s: float = 60.0
    """How long a call may stay without a byte from the far side."""


DEFAULTS = AccessSettings()


@dataclass(frozen=True, slots=True)
class Keys:
    """What an object store signs requests by."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


class Access:
    """The credentials of one site, good for at least ``renew_before_s`` when they are handed out."""

    def __init__(
        self, settings: AccessSettings = DEFAULTS, *, site: str = "", clock: Clock = system_clock
    ) -> None:
        self._settings = settings
        self._site = site
        self._clock = clock

    @property
    def settings(self) -> AccessSettings:
        """What it was made of."""
        return self._settings

    async def token(self) -> str:
        """The bearer token; "" where the site asks for none."""
        raise NotImplementedError

    async def proxy(self) -> Path | None:
        """A PEM file with certificate (or proxy, with its chain) and key; None where the site asks for none."""
        raise NotImplementedError

    async def keys(self) -> Keys | None:
        """The keys of an object store; None: requests are not signed."""
        raise NotImplementedError

    async def tls(self) -> ssl.SSLContext:
        """What verifies the far side, by the site's authorities or the system's, and shows our certificate to it.

        One and the same object as long as neither has changed.
        """
        raise NotImplementedError

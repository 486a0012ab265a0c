"""Access: how one gets in to a site, and how long one waits at its doors.

One Access serves all doors of a site in this process, in one event loop at a
time. Drivers ask it for what they show to the storage right before they show
it, each time anew: what is renewed in the meantime is taken up without opening
a door again.

Rules
  * Nothing of this is in the inventory: secrets stay in files of this machine,
    which ``holdfast.toml`` names.
  * A credential that would expire within ``renew_before_s`` is renewed first,
    by the site's ``renew_command``, once for all who wait for it; without a
    command its file is read again, because somebody else may have renewed it.
  * Where renewing fails and what there is still holds, work goes on with that:
    it is logged once in a while, and tried again beside the work.
  * What has expired, or cannot be read, is OperatorError that names the file
    and the remedy, before the storage is asked. Nothing goes on without.
  * A file that makes no sense is looked at again for a moment, for somebody
    may be writing it.
  * No secret is in any repr, error or log line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from holdfast import logs
from holdfast.model.clock import SECOND_US, Clock, system_clock
from holdfast.model.errors import OperatorError
from holdfast.storage.access import certificate as access_certificate
from holdfast.storage.access import keys as access_keys
from holdfast.storage.access import token as access_token
from holdfast.storage.access.file import Credential, Seal, SecretFile, seal_of
from holdfast.storage.access.keys import Keys
from holdfast.storage.access.renewal import Renewal

if TYPE_CHECKING:
    import ssl

    from holdfast.config import StorageSettings

__all__ = ["DEFAULTS", "Access", "AccessSettings", "Keys", "access_settings"]

WARN_EVERY_S = 300.0
"""How often it is said of one credential that it could not be renewed."""

_LOOKS = 3
_LOOK_PAUSE_S = 0.1

_log = logs.get("storage")

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """What the configuration says of one site; None: the site asks for nothing of the kind."""

    proxy: Path | None = None
    """PEM: an X.509 proxy, or certificate and key."""
    token: Path | None = None
    """A file that holds one bearer token."""
    keys: Path | None = None
    """Keys of an object store, as in an AWS credentials file."""
    profile: str = access_keys.PROFILE
    """Whose keys of that file."""
    authorities: Path | None = None
    """A folder of hashed CA certificates, or a bundle; None: those of the system."""
    renew_command: tuple[str, ...] = field(default=(), repr=False)
    """Run to renew whatever of the above is about to expire; it finds the site's name in HOLDFAST_SITE."""
    renew_before_s: float = 600.0
    renew_timeout_s: float = 60.0
    """How long that command may run."""
    connect_timeout_s: float = 5.0
    call_timeout_s: float = 60.0
    """How long a call may stay without a byte from the far side."""


DEFAULTS = AccessSettings()


def access_settings(configured: StorageSettings) -> AccessSettings:
    """What the configuration of one site (``config.storage.for_site``) says of access."""
    return AccessSettings(
        proxy=configured.proxy,
        token=configured.token,
        keys=configured.keys,
        profile=configured.profile,
        authorities=configured.authorities,
        renew_command=configured.renew_command,
        renew_before_s=configured.renew_before_s,
        renew_timeout_s=configured.renew_timeout_s,
        connect_timeout_s=configured.connect_timeout_s,
        call_timeout_s=configured.call_timeout_s,
    )


class Access:
    """The credentials of one site, good for at least ``renew_before_s`` when they are handed out."""

    def __init__(self, settings: AccessSettings = DEFAULTS, *, site: str = "", clock: Clock = system_clock) -> None:
        self._settings = settings
        self._clock = clock
        self._token = _file("token", settings.token, access_token.parse, forbidden=0o007)
        self._proxy = _file("proxy", settings.proxy, access_certificate.parse, forbidden=0o077)
        self._keys = _file(
            "access key", settings.keys, lambda data: access_keys.parse(data, settings.profile), forbidden=0o007
        )
        self._renewal = Renewal(
            settings.renew_command, site=site, timeout_s=settings.renew_timeout_s, clock=clock, secrets=self._secrets
        )
        self._log = _log.bind(site=site)
        self._warned_us: dict[str, int] = {}
        self._tls: tuple[ssl.SSLContext, tuple[Seal | None, Seal | None]] | None = None

    @property
    def settings(self) -> AccessSettings:
        """What it was made of."""
        return self._settings

    async def token(self) -> str:
        """The bearer token; "" where the site asks for none."""
        return (await self._good(self._token)).value if self._token else ""

    async def proxy(self) -> Path | None:
        """A PEM file with certificate (or proxy, with its chain) and key; None where the site asks for none."""
        if self._proxy:
            await self._good(self._proxy)
        return self._settings.proxy

    async def keys(self) -> Keys | None:
        """The keys of an object store; None: requests are not signed."""
        return (await self._good(self._keys)).value if self._keys else None

    async def tls(self) -> ssl.SSLContext:
        """What verifies the far side, by the site's authorities or the system's, and shows our certificate to it.

        One and the same object as long as neither has changed.
        """
        for _ in range(_LOOKS):
            proxy = await self.proxy()
            seals = self._seals()
            if self._tls is not None and self._tls[1] == seals:
                return self._tls[0]
            # ssl is loaded only where somebody speaks TLS.
            from holdfast.storage.access import tls as access_tls

            made = access_tls.context(self._settings.authorities, proxy)
            # OpenSSL reads by itself: that it read what was looked at is known only if nothing has moved since.
            if self._proxy is not None:
                await self.proxy()
            if seals == self._seals():
                self._tls = (made, seals)
        raise OperatorError("changes all the time", place=str(proxy), hint="replace it by a rename")

    def _seals(self) -> tuple[Seal | None, Seal | None]:
        """What a context was made of; of the proxy, as it was when it was looked at last."""
        authorities = self._settings.authorities
        return (
            None if authorities is None else seal_of(authorities),
            None if self._proxy is None else self._proxy.seal,
        )

    async def _good(self, file: SecretFile[Value]) -> Credential[Value]:
        """What is in the file now, renewed first if it would expire soon."""
        try:
            found = file.look()
        except OperatorError:
            return await self._mended(file)
        now = self._clock()
        if found.lasts_until(now + self._margin_us) and found.has_begun(now):
            return found
        if self._renewal.failed and found.holds(now):
            # Nobody waits for a command that is known to fail, as long as there is something to show.
            self._renewal.begin()
            self._warn(file, found, self._renewal.failed)
            return found
        failed = await self._renewal.run()
        return self._settled(file, failed)

    async def _mended(self, file: SecretFile[Value]) -> Credential[Value]:
        """What is in a file that could not be read, once it can: it was being written, or a command makes it."""
        failed = await self._renewal.run()
        for _ in range(_LOOKS):
            try:
                return self._settled(file, failed)
            except OperatorError:
                if not file.is_there:
                    break
                await asyncio.sleep(_LOOK_PAUSE_S)
        return self._settled(file, failed)

    def _settled(self, file: SecretFile[Value], failed: str) -> Credential[Value]:
        """What is in the file, if it holds; ``failed`` is what has become of renewing it."""
        why = failed or self._renewal.idle
        try:
            found = file.look()
            file.check(found, self._clock())
        except OperatorError as error:
            if not why:
                raise
            hint = "run renew_command of holdfast.toml by hand, as the user of this process"
            raise OperatorError(f"{error.message}, and {why}", place=error.place, hint=hint) from error
        if not found.lasts_until(self._clock() + self._margin_us):
            self._warn(file, found, why or "there is no renew_command")
        return found

    @property
    def _margin_us(self) -> int:
        return round(self._settings.renew_before_s * SECOND_US)

    def _warn(self, file: SecretFile[Value], found: Credential[Value], why: str) -> None:
        now = self._clock()
        last_us = self._warned_us.get(file.what)
        if last_us is None or now - last_us >= WARN_EVERY_S * SECOND_US:
            self._warned_us[file.what] = now
            self._log.warning(f"the {file.what} expires soon", file=str(file.path), until=found.shown_end(), reason=why)

    def _secrets(self) -> list[str]:
        """What must not be repeated from anybody's words."""
        found = []
        if self._token and self._token.last:
            found.append(self._token.last.value)
        if self._keys and self._keys.last:
            found += [self._keys.last.value.secret_access_key, self._keys.last.value.session_token]
        return [secret for secret in found if secret]


def _file(
    what: str, path: Path | None, parse: Callable[[bytes], Credential[Value]], *, forbidden: int
) -> SecretFile[Value] | None:
    return None if path is None else SecretFile(what, path, parse, forbidden=forbidden)

"""ProtectedSource: who says what running workflows need, whatever the way to ask.

Sources of other makers come through entry points of the group
``holdfast.protected``: each is a callable ``protected(site: str) -> Iterable[str]``
that gives the protected paths of a site, or raises.

Rules
  * A list comes whole, within the time and the size that are allowed, or not at all.
  * An error names the source, and never what may be a secret.
  * All sources that are configured are asked, and each has to answer.

Raises PeerError where the source fails, OperatorError where the installation
does, NotBelieved (``lists``) for what makes no sense.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from holdfast.config.cleaning import CleaningSettings
from holdfast.consistency.cleaning.protecting.from_command import CommandSource
from holdfast.consistency.cleaning.protecting.from_file import FileSource
from holdfast.consistency.cleaning.protecting.from_plug_in import PlugInSource
from holdfast.model.clock import Clock
from holdfast.model.errors import BadInput, HoldfastError, OperatorError
from holdfast.storage.access import Access, AccessSettings


class ProtectedSource(Protocol):
    """One source of protected paths."""

    @property
    def name(self) -> str:
        """What it is called in errors, and in what is remembered of its lists."""

    async def paths(self, site: str) -> tuple[str, ...]:
        """The paths that are protected at a site, checked one by one but not judged."""


@dataclass(frozen=True, slots=True)
class Named:
    """A source whose errors say where they happened."""

    source: ProtectedSource

    @property
    def name(self) -> str:
        """That of the source itself."""
        return self.source.name

    async def paths(self, site: str) -> tuple[str, ...]:
        """What the source says."""
        try:
            return await self.source.paths(site)
        except HoldfastError as error:
            error.place = error.place or self.name
            raise


def sources_of(settings: CleaningSettings, *, clock: Clock) -> list[ProtectedSource]:
    """The sources that are configured for a site; BadInput if there is none."""
    limits, key = (settings.protected_timeout_s, settings.protected_size_max), settings.protected_key
    found: list[ProtectedSource] = []
    if settings.protected_url is not None:
        found.append(_url_source(settings, clock))
    if settings.protected_file is not None:
        age_s = settings.protected_file_age_max_s
        found.append(FileSource(settings.protected_file, age_s, settings.protected_size_max, key, clock))
    if settings.protected_command:
        found.append(CommandSource(settings.protected_command, *limits, key))
    if settings.protected_plugin:
        found.append(PlugInSource(settings.protected_plugin, settings.protected_timeout_s))
    if not found:
        hint = "set protected_url, protected_file, protected_command or protected_plugin"
        raise BadInput("nobody says what running workflows need; nothing is cleaned", place="[cleaning]", hint=hint)
    return [Named(each) for each in found]


def _url_source(settings: CleaningSettings, clock: Clock) -> ProtectedSource:
    try:
        module = import_module("holdfast.consistency.cleaning.protecting.from_url")
    except ModuleNotFoundError as error:
        lacking = (error.name or "").partition(".")[0]
        if lacking in ("", "holdfast"):
            raise
        raise OperatorError(
            f"protected_url lacks its client library: there is no Python package {lacking}",
            place="[cleaning]",
            hint="pip install 'holdfast[webdav]', or use protected_command",
        ) from error
    access = Access(
        AccessSettings(
            proxy=settings.protected_proxy,
            token=settings.protected_token,
            authorities=settings.protected_authorities,
        ),
        clock=clock,
    )
    limits = (settings.protected_timeout_s, settings.protected_size_max)
    source: ProtectedSource = module.UrlSource(settings.protected_url, access, *limits, settings.protected_key)
    return source

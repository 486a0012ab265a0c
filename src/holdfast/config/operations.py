"""The section of operations: how much at once, how often, when not; and what is of one site only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pydantic import PrivateAttr, model_validator

from holdfast.config.engines import CommandSettings, FtsSettings
from holdfast.config.fields import Section, setting
from holdfast.config.links import LinkSettings


class SiteOperationsSettings(Section):
    """What may be said of one site, in a table `[operations.sites.NAME]`."""

    per_site_in: int | None = setting(
        None,
        "How many files come to one site at the same time at most, for all workers together; unset means that "
        "of each worker `site_share` counts.",
        unit="files",
        least=1,
        most=100_000,
    )
    per_site_out: int | None = setting(
        None,
        "How many files leave one site at the same time at most, for all workers together; unset means that "
        "of each worker `site_share` counts.",
        unit="files",
        least=1,
        most=100_000,
    )
    deletions_per_site: int = setting(
        8, "How many files are deleted at one site at the same time.", unit="files", least=1, most=4096
    )
    remove_empty_directories: bool = setting(
        False,
        "Whether directories that a deletion has left empty are removed, where the storage can do that safely.",
        unit="yes or no",
    )
    brake_share: float = setting(
        0.2,
        "If a greater part of a site's files is asked to be deleted within a day, `--despite-brake` has to be said.",
        unit="fraction",
        least=0,
        most=1,
    )
    brake_files_min: int = setting(
        1000, "Up to so many files a day that brake never holds.", unit="files", least=0, most=1_000_000_000
    )


class _ForAllSettings(Section):
    concurrency: int = setting(
        8, "How many files one worker copies at the same time.", unit="files", least=1, most=10_000
    )
    per_link: int | None = setting(
        None,
        "How many files are under way from one site to one other at the same time at most; "
        "unset means that only other limits count.",
        unit="files",
        least=1,
        most=100_000,
    )
    per_owner: int | None = setting(
        None,
        "How many files are under way for one owner at the same time at most; "
        "unset means that only other limits count.",
        unit="files",
        least=1,
        most=100_000,
    )
    request_share: float = setting(
        0.75,
        "The part of `concurrency` that one request gets at most, so that the next one finds room at once.",
        unit="fraction",
        least=0.01,
        most=1,
    )
    site_share: float = setting(
        0.875,
        "The part of `concurrency`, rounded up, that copies to one site get at most (copies from one site: one more), "
        "where `per_site_in` or `per_site_out` does not say how many: so a site that hangs leaves room for the others.",
        unit="fraction",
        least=0.01,
        most=1,
    )
    attempts_max: int = setting(5, "How often a file is tried before it is held.", unit="attempts", least=1, most=1000)
    retry_delay_s_min: float = setting(
        1.0, "The wait after the first failure; it doubles with each further one.", unit="s", least=0, most=86400
    )
    retry_delay_s_max: float = setting(
        300.0, "The longest wait between two tries of one file.", unit="s", least=0, most=86400
    )
    held_retry_s: float = setting(
        3600.0,
        "After how long what is held is tried again, even if nothing is known to have changed; 0 means never.",
        unit="s",
        least=0,
        most=31_536_000,
    )
    lease_s: float = setting(
        60.0,
        "After how long without a sign of life a worker counts as dead, and others take over what it had begun.",
        unit="s",
        least=3,
        most=86400,
    )
    call_limit_s: float = setting(
        300.0,
        "For how long a request that was sent to a storage may still be carried out after its worker has died.",
        unit="s",
        least=0,
        most=86400,
    )
    verified_age_days: float = setting(
        90.0,
        "A replica is only deleted on the strength of others that were proved within so many days; older ones are "
        "looked at first.",
        unit="days",
        least=0,
        most=36500,
    )


# The bases are in this order so that what holds for all comes first on the page.
class OperationsSettings(SiteOperationsSettings, _ForAllSettings):
    """How copies and deletions are carried out.

    A table `[operations.sites.NAME]` has `per_site_in`, `per_site_out`, `deletions_per_site`,
    `remove_empty_directories`, `brake_share` and `brake_files_min` for the site NAME; it goes before what is set here,
    and before the environment. Tables `[[operations.links]]` say what moves files between which sites.
    """

    _fts: FtsSettings = PrivateAttr(default_factory=FtsSettings)
    _command: CommandSettings = PrivateAttr(default_factory=CommandSettings)
    _links: tuple[LinkSettings, ...] = PrivateAttr(default=())
    _sites: Mapping[str, SiteOperationsSettings] = PrivateAttr(default_factory=lambda: MappingProxyType({}))

    @model_validator(mode="after")
    def _ordered(self) -> OperationsSettings:
        if self.retry_delay_s_min > self.retry_delay_s_max:
            raise ValueError("retry_delay_s_min is greater than retry_delay_s_max")
        return self

    @property
    def fts(self) -> FtsSettings:
        """The section ``[operations.fts]``."""
        return self._fts

    @property
    def command(self) -> CommandSettings:
        """The section ``[operations.command]``."""
        return self._command

    @property
    def links(self) -> tuple[LinkSettings, ...]:
        """The tables ``[[operations.links]]``, in their order."""
        return self._links

    @property
    def sites(self) -> frozenset[str]:
        """The names of the sites that have settings of their own."""
        return frozenset(self._sites)

    def for_site(self, name: str) -> SiteOperationsSettings:
        """What holds for one site."""
        return self._sites.get(name, self)

    def for_link(self, source: str, destination: str) -> LinkSettings:
        """What holds for one link: the first table that is about it, else the defaults."""
        return next((link for link in self._links if link.is_about(source, destination)), LinkSettings())

    def with_tables(
        self,
        *,
        fts: FtsSettings | None = None,
        command: CommandSettings | None = None,
        links: Sequence[LinkSettings] | None = None,
        sites: Mapping[str, SiteOperationsSettings] | None = None,
    ) -> OperationsSettings:
        """These settings, with other tables beside them; None: as they are."""
        made = self.model_copy()
        made._fts = self._fts if fts is None else fts
        made._command = self._command if command is None else command
        made._links = self._links if links is None else tuple(links)
        made._sites = self._sites if sites is None else MappingProxyType(dict(sites))
        return made

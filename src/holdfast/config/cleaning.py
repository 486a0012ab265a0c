"""The sections of cleaning: which areas of which sites are cleaned, what is protected there, and how much may go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PrivateAttr, model_validator

from holdfast.config.fields import (
    HTTP_FORM,
    PATTERN_FORM,
    Command,
    CredentialPath,
    HttpUrl,
    Pattern,
    Section,
    listed,
    setting,
)
from holdfast.config.links import matches
from holdfast.model import names, quarantine
from holdfast.model.errors import InvalidName

AREA_FORM = "a directory of the site, such as /store/unmerged"
BELOW_FORM = "a list of directories below the area, such as logs"
COVERED_FORM = "a list of directories below the area; a component may have *, ? and [...]"


def _area(value: str) -> str:
    """The directory of an area; "" if none was given, which the section refuses with better words."""
    if value and (_directory(value) == "/" or quarantine.is_quarantined(value)):
        raise ValueError("no area")
    return value


def _below(value: str) -> str:
    return _directory(f"/{value}")[1:]


def _directory(text: str) -> str:
    try:
        return names.directory(text)
    except InvalidName as error:
        raise ValueError(error.message) from error


AreaPath = Annotated[str, AfterValidator(_area)]
PathBelow = Annotated[str, AfterValidator(_below)]
PathsBelow = Annotated[tuple[PathBelow, ...], BeforeValidator(listed)]


class AreaSettings(Section):
    """Production areas: what is old there, and not protected, goes. Every table that is about a site counts."""

    sites: Pattern = setting(
        "*", "The sites that have it; `*` stands for any text, `?` for a letter.", unit="name", form=PATTERN_FORM
    )
    path: AreaPath = setting("", "Where it is at these sites; it stays itself.", unit="path", form=AREA_FORM)
    min_age_days: float = setting(
        28.0, "What was changed or moved there in so many days stays.", unit="days", least=0, most=36500
    )
    log_directories: PathsBelow = setting(
        (), "What is below these is logs, with an age of their own.", unit="paths", form=BELOW_FORM
    )
    log_min_age_days: float = setting(
        60.0, "Logs that were changed or moved there in so many days stay.", unit="days", least=0, most=36500
    )
    never_enter: PathsBelow = setting(
        (), "Directories that are not even listed; all below them stays.", unit="patterns", form=COVERED_FORM
    )

    @model_validator(mode="after")
    def _consistent(self) -> AreaSettings:
        if not self.path:
            raise ValueError("lacks the path of the area")
        return self

    def is_about(self, site: str) -> bool:
        """Whether a site has this area."""
        return matches(self.sites, site)


class CleaningSettings(Section):
    """What is protected in production areas, and how much may go at once.

    At least one source must say what running workflows need; each that is set is asked, before an area is listed and
    again afterwards, and what any of them names stays. These settings hold for all sites. A table
    `[cleaning.sites.NAME]` has the same settings for the site NAME; what is not in it stays as it is for all.
    """

    protected_url: HttpUrl | None = setting(
        None, "Where the list of protected paths is fetched from, with a GET.", unit="URL", form=HTTP_FORM
    )
    protected_file: CredentialPath = setting(None, "The file that holds a list of protected paths.", unit="path")
    protected_command: Command = setting(
        (), "What is run, without a shell, to print such a list; HOLDFAST_SITE has the site's name.", unit="command"
    )
    protected_plugin: str = setting(
        "", "The plug-in of the group `holdfast.protected` that gives such a list; empty means none.", unit="name"
    )
    protected_key: str = setting(
        "", "Under which key the list is, where it is in a JSON object; empty means that it is none.", unit="name"
    )
    protected_proxy: CredentialPath = setting(
        None, "The X.509 proxy, or certificate and key, that is shown to that address: PEM, mode 0600.", unit="path"
    )
    protected_token: CredentialPath = setting(None, "The bearer token that is shown to it.", unit="path")
    protected_authorities: CredentialPath = setting(
        None,
        "The authorities that it is verified by: a folder of hashed certificates, or a file of them; "
        "unset means those of the system.",
        unit="path",
    )
    protected_timeout_s: float = setting(
        60.0, "How long a source may take to give its whole list.", unit="s", least=0.1, most=86400
    )
    protected_size_max: int = setting(
        100_000_000, "A list of more bytes than that is not believed.", unit="bytes", least=1, most=10**10
    )
    protected_file_age_max_s: int = setting(
        86400, "A file that was written longer ago than that is not believed.", unit="s", least=1, most=31_536_000
    )
    protected_shrunk_fraction_max: float = setting(
        0.5,
        "If a list has lost a greater part since the last time, `--despite-shrunk` has to be said.",
        unit="fraction",
        least=0,
        most=1,
    )
    protected_repeated_fraction_max: float = setting(
        0.5, "A list of which a greater part repeats itself is not believed.", unit="fraction", least=0, most=1
    )
    files_max: int | None = setting(
        100_000,
        "If more files would go at once, none does; unset means that there is no such limit.",
        unit="files",
        least=0,
    )
    files_of_listed_max: float = setting(
        0.5,
        "If a greater part of the files that were listed would go at once, none does.",
        unit="fraction",
        least=0,
        most=1,
    )
    directories_max: int | None = setting(
        10_000,
        "If more empty directories would go at once, none does; unset means that there is no such limit.",
        unit="directories",
        least=0,
    )
    directories_of_listed_max: float = setting(
        0.5,
        "If a greater part of the directories that were listed would go at once, none does.",
        unit="fraction",
        least=0,
        most=1,
    )

    _sites: Mapping[str, CleaningSettings] = PrivateAttr(default_factory=lambda: MappingProxyType({}))
    _areas: tuple[AreaSettings, ...] = PrivateAttr(default=())

    @property
    def sites(self) -> frozenset[str]:
        """The names of the sites that have settings of their own."""
        return frozenset(self._sites)

    @property
    def areas(self) -> tuple[AreaSettings, ...]:
        """The tables ``[[cleaning.areas]]``, in their order."""
        return self._areas

    def for_site(self, name: str) -> CleaningSettings:
        """What holds for one site, but for its areas."""
        return self._sites.get(name, self)

    def areas_of(self, site: str) -> tuple[AreaSettings, ...]:
        """The areas of one site, by their paths."""
        return tuple(sorted((area for area in self._areas if area.is_about(site)), key=lambda area: area.path))

    def with_tables(
        self, *, sites: Mapping[str, CleaningSettings] | None = None, areas: Sequence[AreaSettings] | None = None
    ) -> CleaningSettings:
        """These settings, with other tables beside them; None: as they are."""
        made = self.model_copy()
        made._sites = self._sites if sites is None else MappingProxyType(dict(sites))
        made._areas = self._areas if areas is None else tuple(areas)
        return made

"""The section of consistency: how a site is compared, what has to be so before anything is done, and where."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import PrivateAttr

from holdfast.config.fields import (
    DIRECTORIES_FORM,
    NAMES_FORM,
    DirectoryPatterns,
    FolderPath,
    NamePatterns,
    Section,
    setting,
)


class SiteConsistencySettings(Section):
    """What may be said of one site, in a table `[consistency.sites.NAME]`."""

    mode: Literal["act", "dry"] = setting(
        "act",
        "Whether what checks find may be acted on, or is only reported; "
        "`holdfast consistency mode` goes before this for its site.",
        unit="name",
    )
    ignore_age_s: int = setting(
        86400, "Files younger than this are never called orphans: they may be on their way in.", unit="s", least=0
    )
    ignore_directories: DirectoryPatterns = setting(
        (),
        "Directories of the site that are left alone with all below them; `*`, `?` and `[...]` stand for no `/`.",
        unit="patterns",
        form=DIRECTORIES_FORM,
    )
    ignore_datasets: NamePatterns = setting(
        (), "Datasets whose files are left alone, by name.", unit="patterns", form=NAMES_FORM
    )
    missing_fraction_max: float = setting(
        0.1,
        "If a greater part of a site's expected files is missing or wrong, nothing is repaired or deleted without "
        "being told so.",
        unit="fraction",
        least=0,
        most=1,
    )
    missing_max: int | None = setting(
        None,
        "If more files are missing, or more are wrong, these are not repaired without being told so; "
        "unset means that only the fraction counts.",
        unit="files",
        least=0,
    )
    orphans_of_actual_max: float = setting(
        0.01,
        "If orphans are a greater part of the files that lie at a site, none is removed.",
        unit="fraction",
        least=0,
        most=1,
    )
    orphans_max: int = setting(1000, "If a site has more orphans, none is removed.", unit="files", least=0)
    empty_directories_of_listed_max: float = setting(
        0.1,
        "If a greater part of a site's directories is empty, none is removed.",
        unit="fraction",
        least=0,
        most=1,
    )
    empty_directories_max: int = setting(
        10_000, "If a site has more empty directories, none is removed.", unit="directories", least=0
    )
    shrunk_fraction_max: float = setting(
        0.5,
        "If a site shows fewer files than in the check before by more than this part, nothing is done: "
        "the listing may be wrong.",
        unit="fraction",
        least=0,
        most=1,
    )
    missing_runs: int = setting(
        1,
        "In how many checks without a break a file has to be missing before it is copied anew.",
        unit="checks",
        least=1,
    )
    missing_over_days: float = setting(
        0.0, "How long ago the first of them has to be.", unit="days", least=0, most=36500
    )
    wrong_runs: int = setting(
        1,
        "In how many checks without a break a file has to be of wrong size or content before it is replaced.",
        unit="checks",
        least=1,
    )
    orphan_runs: int = setting(
        3,
        "In how many checks without a break a file has to be an orphan, or a directory empty, before it is removed.",
        unit="checks",
        least=1,
    )
    orphan_over_days: float = setting(
        25.0, "How long ago the first of them has to be.", unit="days", least=0, most=36500
    )
    lost_runs: int = setting(
        2,
        "In how many checks without a break a last copy has to be missing before it can be declared lost.",
        unit="checks",
        least=1,
    )
    quarantine: bool = setting(
        True,
        "Whether orphans are moved below `/.holdfast-quarantine` at their site first, from where they can be had back.",
        unit="yes or no",
    )
    quarantine_days: float = setting(
        30.0, "How long orphans lie there before they are deleted.", unit="days", least=0, most=36500
    )
    quarantine_check_days: float = setting(
        7.0,
        "How old a site's last check may be when they are deleted: by it one knows what may be somebody's last copy.",
        unit="days",
        least=0,
        most=36500,
    )


class _ForAllSettings(Section):
    reports: FolderPath = setting(Path("reports"), "The folder that a check writes its reports to.", unit="path")
    resume_age_s: int = setting(
        604_800, "Interrupted checks older than this are not gone on with, but begun anew.", unit="s", least=0
    )
    history_days: float = setting(
        365.0,
        "How long it is remembered what was missing, wrong or an orphan and is not any more.",
        unit="days",
        least=0,
        most=36500,
    )
    memory_limit_mb: int = setting(
        300, "The memory a comparison may use before it goes to disk.", unit="MB", least=50, most=1_000_000
    )


# The bases are in this order so that what holds for all comes first on the page.
class ConsistencySettings(SiteConsistencySettings, _ForAllSettings):
    """How what is gets compared with what should be, and what has to be so before anything is done about it.

    A table `[consistency.sites.NAME]` has any of these settings for the site NAME, but for `reports`, `resume_age_s`,
    `history_days` and `memory_limit_mb`; it goes before what is set here, and before the environment.
    """

    _sites: Mapping[str, SiteConsistencySettings] = PrivateAttr(default_factory=lambda: MappingProxyType({}))

    @property
    def sites(self) -> frozenset[str]:
        """The names of the sites that have settings of their own."""
        return frozenset(self._sites)

    def for_site(self, name: str) -> SiteConsistencySettings:
        """What holds for one site."""
        return self._sites.get(name, self)

    def with_sites(self, sites: Mapping[str, SiteConsistencySettings]) -> ConsistencySettings:
        """These settings, with those of some sites beside them."""
        made = self.model_copy()
        made._sites = MappingProxyType(dict(sites))
        return made

"""The section of the storages: what holds for all sites, and for some of them something else."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import PrivateAttr

from holdfast.config.fields import Command, CredentialPath, Section, setting


class StorageSettings(Section):
    """How storages are spoken to, and what is shown to them.

    These settings hold for all sites. A table `[storage.sites.NAME]` has the same settings for the site NAME; what is
    not in it stays as it is for all. It goes before the environment, too: a variable sets what holds for all sites.

    Secrets are in files of their own, which nobody but the user of Holdfast can read.
    """

    connect_timeout_s: float = setting(
        5.0, "How long a door may take to accept a connection.", unit="s", least=0.1, most=600
    )
    call_timeout_s: float = setting(
        60.0, "How long a storage may stay silent while it owes an answer.", unit="s", least=0.1, most=86400
    )
    in_flight_max: int = setting(
        256, "How many requests a site is given at the same time at most.", unit="requests", least=1, most=4096
    )
    attempts_max: int = setting(
        4, "How often one directory is asked for before it counts as failed.", unit="attempts", least=1, most=1000
    )
    directory_timeout_s: float = setting(
        600.0, "How long the listing of one directory may take.", unit="s", least=0.1, most=864_000
    )
    listing_timeout_s: float = setting(
        0.0,
        "After how long the listing of a site is interrupted, to be gone on with later; 0 means never.",
        unit="s",
        least=0,
        most=31_536_000,
    )
    give_up_s: float = setting(
        300.0,
        "After how long without any answer from any door the listing of a site is interrupted.",
        unit="s",
        least=1,
        most=86400,
    )
    walk_processes: int | None = setting(
        None,
        "How many processes walk a site that is a folder of this machine; unset means one per processor.",
        unit="processes",
        least=1,
        most=256,
    )
    proxy: CredentialPath = setting(
        None, "The X.509 proxy, or certificate and key, that is shown: PEM, mode 0600.", unit="path"
    )
    token: CredentialPath = setting(None, "The bearer token that is shown.", unit="path")
    keys: CredentialPath = setting(None, "The keys of an object store, as in an AWS credentials file.", unit="path")
    profile: str = setting("default", "Which of the profiles in that file is taken.", unit="name")
    authorities: CredentialPath = setting(
        None,
        "The authorities that storages are verified by: a folder of hashed certificates, or a file of them; "
        "unset means those of the system.",
        unit="path",
    )
    renew_command: Command = setting(
        (),
        "What is run, without a shell, to renew what of these is about to expire; the site's name is in HOLDFAST_SITE.",
        unit="command",
    )
    renew_before_s: float = setting(
        600.0, "How long before the end a credential is renewed.", unit="s", least=0, most=864_000
    )
    renew_timeout_s: float = setting(60.0, "How long the command that renews may run.", unit="s", least=0.1, most=3600)

    _sites: Mapping[str, StorageSettings] = PrivateAttr(default_factory=lambda: MappingProxyType({}))

    def for_site(self, name: str) -> StorageSettings:
        """What holds for one site."""
        return self._sites.get(name, self)

    @property
    def sites(self) -> frozenset[str]:
        """The names of the sites that have settings of their own."""
        return frozenset(self._sites)

    def with_sites(self, sites: Mapping[str, StorageSettings]) -> StorageSettings:
        """These settings, with those of some sites beside them."""
        made = self.model_copy()
        made._sites = MappingProxyType(dict(sites))
        return made

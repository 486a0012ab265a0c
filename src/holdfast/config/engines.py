"""The sections of the engines that are not our own: a transfer service, and a program that the site already has."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from holdfast.config.fields import (
    CODES_FORM,
    VARIABLES_FORM,
    Codes,
    Command,
    CredentialPath,
    Section,
    ServiceUrl,
    Variables,
    setting,
)
from holdfast.config.templates import check as check_template
from holdfast.config.templates import is_of_batches


class FtsSettings(Section):
    """The transfer service FTS3 that links with the engine `fts` hand their files to. TLS is always verified."""

    url: ServiceUrl | None = setting(
        None, "The address of its REST interface; unset means that there is none.", unit="URL"
    )
    proxy: CredentialPath = setting(
        None, "The X.509 proxy, or certificate and key, that is shown to it: PEM, mode 0600.", unit="path"
    )
    token: CredentialPath = setting(None, "The bearer token that is shown to it instead.", unit="path")
    authorities: CredentialPath = setting(
        None,
        "The authorities that it is verified by: a folder of hashed certificates, or a file of them; "
        "unset means those of the system.",
        unit="path",
    )
    connect_timeout_s: float = setting(
        5.0, "How long it may take to accept a connection.", unit="s", least=0.1, most=600
    )
    call_timeout_s: float = setting(
        60.0, "How long it may stay silent while it owes an answer.", unit="s", least=0.1, most=3600
    )
    poll_interval_s: float = setting(
        5.0, "How often it is asked how the jobs are, all in one request.", unit="s", least=0.05, most=3600
    )
    job_timeout_s: float = setting(
        86400.0,
        "After how long a job that is not over is cancelled, to be tried again; staging from tape is not counted.",
        unit="s",
        least=1,
        most=31_536_000,
    )
    verify_checksum: Literal["both", "target", "source", "none"] = setting(
        "both", "At which ends it compares checksums; beside that the destination is always asked by us.", unit="name"
    )
    retries: int = setting(
        0, "How often it tries a file again by itself; we try again in any case.", unit="attempts", least=0, most=100
    )
    bring_online_s: int = setting(
        36000, "How long a file on tape may take to be staged.", unit="s", least=1, most=31_536_000
    )
    pin_lifetime_s: int = setting(
        36000, "How long a staged file is asked to stay on disk.", unit="s", least=1, most=31_536_000
    )
    delegation_s: int = setting(
        43200, "How long the credential holds that is delegated to it, where a proxy is shown.", unit="s", least=600
    )
    activity: str = setting("", "The activity by which it shares links among its users.", unit="name")

    @model_validator(mode="after")
    def _consistent(self) -> FtsSettings:
        if self.proxy is not None and self.token is not None:
            raise ValueError("proxy and token are both set; the service is shown one of them, so leave the other out")
        return self


class CommandSettings(Section):
    """The program that moves the files of links with the engine `command`: one that the site already has.

    It is run without a shell. In its arguments `{source}` and `{destination}` stand for the two PFNs; then it is run
    for each file. `{list}` stands for a file that lists many of them; then it is run for each batch. The guide to the
    engines has all that can stand there.
    """

    template: Command = setting((), "The program and its arguments.", unit="command")
    timeout_s: float = setting(
        86400.0, "How long it may run: for one file, or for one batch.", unit="s", least=0.1, most=8_640_000
    )
    silence_s: float = setting(
        0.0, "After how long without a word from it it is ended; 0 means never.", unit="s", least=0, most=86400
    )
    retry_codes: Codes = setting(
        (),
        "Exit codes that mean: try again later. Those in no list mean that, too, unless the files show otherwise.",
        unit="exit codes",
        form=CODES_FORM,
    )
    fatal_codes: Codes = setting((), "Exit codes that mean: this will never work.", unit="exit codes", form=CODES_FORM)
    full_codes: Codes = setting(
        (),
        "Exit codes that mean: there is no room at the destination, for this file nor, it must be feared, for others.",
        unit="exit codes",
        form=CODES_FORM,
    )
    down_codes: Codes = setting(
        (),
        "Exit codes that mean: the program itself cannot work now; the link's next engine takes over.",
        unit="exit codes",
        form=CODES_FORM,
    )
    list_format: Literal["jsonl", "tsv"] = setting(
        "jsonl", "How `{list}` is written: a JSON object a line, or columns with tabs between them.", unit="name"
    )
    inherit: Variables = setting(
        (),
        "Which variables of our own environment it finds in its own, beside PATH and the credentials.",
        unit="names",
        form=VARIABLES_FORM,
    )

    @model_validator(mode="after")
    def _consistent(self) -> CommandSettings:
        if self.template:
            check_template(self.template)
        every = [*self.retry_codes, *self.fatal_codes, *self.full_codes, *self.down_codes]
        twice = sorted({code for code in every if every.count(code) > 1})
        if twice:
            raise ValueError(f"two of retry_codes, fatal_codes, full_codes and down_codes have the code {twice[0]}")
        return self

    @property
    def is_of_batches(self) -> bool:
        """Whether the program is run for whole batches."""
        return is_of_batches(self.template)

"""What settings are made of: how one is declared, the types it may have, and what of a value may be shown."""

from __future__ import annotations

import re
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_DATABASE = re.compile(r"postgres(ql)?://")
_SQL = re.compile(r"[a-z][a-z0-9_]*(\+[a-z][a-z0-9_]*)?://")
_SERVICE = re.compile(r"https://[^/?#@\s]+(/[^?#\s]*)?")
_HTTP = re.compile(r"https?://[^/?#@\s]+(/[^?#\s]*)?")
_SECRETS = (re.compile(r"(://[^:/?#]*:).*(?=@)"), re.compile(r"([?&][^=&]*password[^=&]*=)[^&]*", re.IGNORECASE))
_NO_PATH = re.compile(r"eyJ[\w-]*\.|-----BEGIN|\s*Bearer\s|.{1024}", re.DOTALL)
"""How that begins which people put in the place of the file that should hold it."""

URL_FORM = "a URL: postgresql://USER@HOST:PORT/DATABASE"
SQL_FORM = "a URL: DIALECT://USER@HOST:PORT/DATABASE, or sqlite:///PATH"
CREDENTIAL_FORM = 'the path of the file or folder that holds it, or "" for none'
SERVICE_FORM = "a URL: https://HOST:PORT, without a name or password in it"
HTTP_FORM = "a URL: https://HOST/PATH or http://HOST/PATH, without a name, password or query in it"
COMMAND_FORM = "a list of texts: a program and its arguments"
PATTERN_FORM = "the name of a site, in which * stands for any text and ? for a letter"
CODES_FORM = "a list of whole numbers from 1 to 255"
VARIABLES_FORM = "a list of names of variables"
DIRECTORIES_FORM = "a list of absolute paths at the site, in which *, ? and [...] stand for any text but /"
NAMES_FORM = "a list of names, in which *, ? and [...] stand for any text"
UNSHOWN = frozenset({URL_FORM, SQL_FORM, SERVICE_FORM, HTTP_FORM, CREDENTIAL_FORM, COMMAND_FORM})
"""What is written where one of these is wanted may have a secret in it, where nobody would look for one."""


def setting(
    default: object,
    sentence: str,
    *,
    unit: str = "",
    least: float | None = None,
    most: float | None = None,
    form: str = "",
) -> Any:
    """Declare a field of a section; ``form`` says in words what it may be, where its type alone does not."""
    return Field(
        default=default,
        description=sentence,
        json_schema_extra={"unit": unit, "least": least, "most": most, "form": form},
        ge=least,
        le=most,
        allow_inf_nan=False if isinstance(default, float) else None,
    )


class Section(BaseModel):
    """One room's settings. Subclasses declare fields with ``setting``; their docstring is the page's text."""

    # Strict: in TOML "4" is text and 4 is a number; who mixes them up should hear of it.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)


def _path(value: object) -> object:
    if isinstance(value, str):
        if not value or "\0" in value:
            raise ValueError("not a path")
        return Path(value)
    return value


def _credential(value: object) -> object:
    if value == "":
        return None
    if isinstance(value, str) and _NO_PATH.match(value):
        raise ValueError("not a path")
    return _path(value)


def _database(value: object) -> object:
    if isinstance(value, str) and not _DATABASE.match(value):
        raise ValueError("not the URL of a database")
    return value


def _sql(value: object) -> object:
    if isinstance(value, str) and not _SQL.match(value):
        raise ValueError("not the URL of a database")
    return value


def _command(value: object) -> object:
    if isinstance(value, list):
        words = tuple(value)
        if any("\0" in word for word in words if isinstance(word, str)) or (words and words[0] == ""):
            raise ValueError("not a command")
        return words
    return value


def _service(value: object) -> object:
    if isinstance(value, str) and not _SERVICE.fullmatch(value):
        raise ValueError("not the URL of a service")
    return value


def _http(value: object) -> object:
    if isinstance(value, str) and not _HTTP.fullmatch(value):
        raise ValueError("not such a URL")
    return value


def listed(value: object) -> object:
    """A list as TOML has it as a tuple, as strict settings want it."""
    return tuple(value) if isinstance(value, list) else value


def _codes(value: tuple[int, ...]) -> tuple[int, ...]:
    if not all(1 <= code <= 255 for code in value):
        raise ValueError("not an exit code of a failure")
    return value


FolderPath = Annotated[Path, BeforeValidator(_path)]
CredentialPath = Annotated[Path | None, BeforeValidator(_credential)]


def _directory_pattern(value: str) -> str:
    """Refused is what covers nothing at any site, or looks as if it covered more than it does."""
    if {"", ".", "..", "**"} & set(value[1:].removesuffix("/").split("/")):
        raise ValueError("no pattern of a directory")
    return value


DatabaseUrl = Annotated[str, AfterValidator(_database)]
SqlUrl = Annotated[str, AfterValidator(_sql)]
ServiceUrl = Annotated[str, AfterValidator(_service)]
HttpUrl = Annotated[str, AfterValidator(_http)]
Command = Annotated[tuple[str, ...], BeforeValidator(_command)]
Pattern = Annotated[str, Field(pattern=r"^[A-Za-z0-9._*?-]{1,64}$")]
Codes = Annotated[tuple[int, ...], BeforeValidator(listed), AfterValidator(_codes)]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Variables = Annotated[tuple[VariableName, ...], BeforeValidator(listed)]
DirectoryPattern = Annotated[str, Field(pattern=r"^/[^\x00-\x1f]{1,1023}$"), AfterValidator(_directory_pattern)]
DirectoryPatterns = Annotated[tuple[DirectoryPattern, ...], BeforeValidator(listed)]
NamePattern = Annotated[str, Field(pattern=r"^[^\x00-\x1f]{1,1023}$")]
NamePatterns = Annotated[tuple[NamePattern, ...], BeforeValidator(listed)]


def kind_of(annotation: Any) -> Any:
    """The type itself, without ``| None``."""
    rest = [part for part in get_args(annotation) if part is not NoneType]
    return rest[0] if NoneType in get_args(annotation) else annotation


def allowed(annotation: Any, default: object, least: object, most: object) -> str:
    """What a setting may be, in words."""
    kind = kind_of(annotation)
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    if kind in (int, float):
        noun = "a whole number" if kind is int else "a number"
        if least is not None and most is not None:
            return f"{noun} from {least} to {most}"
        return f"{noun} of at least {least}" if least is not None else noun
    if kind is Path:
        return "a path" if default is not None else CREDENTIAL_FORM
    forms = {DatabaseUrl: URL_FORM, SqlUrl: SQL_FORM, ServiceUrl: SERVICE_FORM, tuple[str, ...]: COMMAND_FORM}
    return "true or false" if kind is bool else forms.get(kind, "text")


def without_password(url: str) -> str:
    """A URL as it may be shown."""
    for secret in _SECRETS:
        url = secret.sub(r"\1***", url)
    return url


def without_arguments(command: tuple[str, ...]) -> tuple[str, ...]:
    """A command as it may be shown: somebody may have put a secret into its arguments."""
    return (command[0], "***") if len(command) > 1 else command


def names_a_place(annotation: Any) -> bool:
    """Whether a setting of this type may name something by a path relative to the file."""
    return kind_of(annotation) is Path or annotation == tuple[str, ...]


def anchored(value: object, folder: Path) -> object:
    """A value with what is relative in it relative to ``folder``."""
    if isinstance(value, Path):
        return folder / value
    if isinstance(value, tuple) and value and isinstance(value[0], str) and "/" in value[0]:
        # As a shell does: a program without a slash is looked for on PATH.
        return (str(folder / value[0]), *value[1:])
    return value

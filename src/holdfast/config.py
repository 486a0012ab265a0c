"""One validated configuration: ``holdfast.toml`` and the environment, parsed once at the edge.

A frozen section per room; each setting has a unit, a default and a sentence,
from which ``docs/configuration.md`` and the starter file are made.

Rules
  * An unknown section or key is an error that names the nearest known one; so
    is a variable HOLDFAST_<SECTION>_<KEY> that nobody reads, or one that is
    nearly the name of a setting.
  * The environment goes before the file, the file before the default. What is
    set to 0 or to nothing is set: it is taken, or refused, never passed over.
  * A relative path is relative to the folder of the file, also when it comes
    from the environment.
  * Each value keeps where it came from: ``default``, ``FILE:LINE`` or the
    variable's name.
  * A password is never shown: not by ``settings``, not in a refusal.
  * The environment and the current folder are arguments; this module reads
    neither by itself.

Raises BadInput, and OperatorError if the file may not be read; a
configuration is returned whole or not at all.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from holdfast.model.errors import BadInput, OperatorError

FILE_NAME = "holdfast.toml"
PREFIX = "HOLDFAST_"
CONFIG_VARIABLE = "HOLDFAST_CONFIG"

_TYPO_SIMILARITY = 0.85
"""From here on a HOLDFAST_ variable counts as a misspelt setting; below it is somebody else's."""


def _path(value: object) -> object:
    if isinstance(value, str):
        if not value or "\0" in value:
            raise ValueError("not a path")
        return Path(value)
    return value


FolderPath = Annotated[Path, BeforeValidator(_path)]


_DATABASE = re.compile(r"postgres(ql)?://")
_URL_FORM = "a URL: postgresql://USER@HOST:PORT/DATABASE"
_SECRETS = (re.compile(r"(://[^:/?#]*:).*(?=@)"), re.compile(r"([?&][^=&]*password[^=&]*=)[^&]*", re.IGNORECASE))


def _database(value: object) -> object:
    if isinstance(value, str) and not _DATABASE.match(value):
        raise ValueError("not the URL of a database")
    return value


DatabaseUrl = Annotated[str, AfterValidator(_database)]


def without_password(url: str) -> str:
    """A URL as it may be shown."""
    for secret in _SECRETS:
        url = secret.sub(r"\1***", url)
    return url


def _setting(
    default: object, sentence: str, *, unit: str = "", least: float | None = None, most: float | None = None
) -> Any:
    return Field(
        default=default,
        description=sentence,
        json_schema_extra={"unit": unit, "least": least, "most": most},
        ge=least,
        le=most,
        allow_inf_nan=False if isinstance(default, float) else None,
    )


class Section(BaseModel):
    """One room's settings. Subclasses declare fields with ``_setting``; their docstring is the page's text."""

    # Strict: in TOML "4" is text and 4 is a number; who mixes them up should hear of it.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)


class InventorySettings(Section):
    """Where this installation keeps what should be."""

    path: FolderPath = _setting(
        Path("state/inventory.db"),
        "The SQLite file that holds the inventory and its journal; its folder is that of all working files.",
        unit="path",
    )
    database: DatabaseUrl | None = _setting(
        None,
        "The PostgreSQL database that holds them instead; keep its password in PGPASSFILE rather than here.",
        unit="URL",
    )

    @property
    def place(self) -> Path | str:
        """Where the inventory is: a file's path or a database's URL, password included."""
        return self.path if self.database is None else self.database


class OperationsSettings(Section):
    """How copies and deletions are carried out."""

    concurrency: int = _setting(8, "How many files are copied at the same time.", unit="files", least=1, most=1024)
    attempts_max: int = _setting(
        5, "How often one file is tried before its copy counts as failed.", unit="attempts", least=1, most=1000
    )
    retry_delay_s_min: float = _setting(
        1.0, "The wait after the first failure; it doubles with each further one.", unit="s", least=0, most=86400
    )
    retry_delay_s_max: float = _setting(
        300.0, "The longest wait between two tries of one file.", unit="s", least=0, most=86400
    )

    @model_validator(mode="after")
    def _ordered(self) -> OperationsSettings:
        if self.retry_delay_s_min > self.retry_delay_s_max:
            raise ValueError("retry_delay_s_min is greater than retry_delay_s_max")
        return self


class PublishSettings(Section):
    """How a directory tree becomes a dataset."""

    digest: Literal["sha256", "blake3"] = _setting(
        "sha256", "The cryptographic digest taken of each file, beside adler32.", unit="name"
    )
    workers: int | None = _setting(
        None,
        "How many files are read at the same time; unset means one per processor.",
        unit="files",
        least=1,
        most=256,
    )


class ConsistencySettings(Section):
    """How what is gets compared with what should be."""

    reports: FolderPath = _setting(Path("reports"), "The folder that a check writes its reports to.", unit="path")
    ignore_age_s: int = _setting(
        86400, "Files younger than this are never called orphans: they may be on their way in.", unit="s", least=0
    )
    missing_fraction_max: float = _setting(
        0.1,
        "If a greater part of a site's files is missing, nothing is repaired or deleted without being told so.",
        unit="fraction",
        least=0,
        most=1,
    )
    memory_limit_mb: int = _setting(
        300, "The memory a comparison may use before it goes to disk.", unit="MB", least=50, most=1_000_000
    )
    list_concurrency: int = _setting(
        16, "How many directories of a site are listed at the same time.", unit="directories", least=1, most=4096
    )


class LogSettings(Section):
    """What the program says about its own work, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = _setting(
        "warning", "The least serious message that is written.", unit="name"
    )
    format: Literal["text", "json"] = _setting(
        "text", "Lines for people, or one JSON object per line for machines.", unit="name"
    )


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; ``origins`` is by ``section.key``, ``file`` is None for built-in defaults."""

    file: Path | None = None
    inventory: InventorySettings = field(default_factory=InventorySettings)
    operations: OperationsSettings = field(default_factory=OperationsSettings)
    publish: PublishSettings = field(default_factory=PublishSettings)
    consistency: ConsistencySettings = field(default_factory=ConsistencySettings)
    log: LogSettings = field(default_factory=LogSettings)
    origins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def settings(self) -> Iterator[tuple[str, str, object, str]]:
        """Each setting as section, key, value and origin, in the order of the reference page; passwords left out."""
        for section, model in SECTIONS.items():
            for key, info in model.model_fields.items():
                value = getattr(getattr(self, section), key)
                if _kind(info.annotation) == DatabaseUrl and value is not None:
                    value = without_password(value)
                yield section, key, value, self.origins.get(f"{section}.{key}", "default")


SECTIONS: Mapping[str, type[Section]] = MappingProxyType(
    {
        "inventory": InventorySettings,
        "operations": OperationsSettings,
        "publish": PublishSettings,
        "consistency": ConsistencySettings,
        "log": LogSettings,
    }
)


_HOMES = {key: section for section, model in SECTIONS.items() for key in model.model_fields}
"""The section that each key belongs to, for hints."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is to be known of one setting, for the reference page and for messages."""

    section: str
    key: str
    default: object
    unit: str
    allowed: str
    sentence: str

    @property
    def variable(self) -> str:
        """The environment variable that overrides it."""
        return f"{PREFIX}{self.section}_{self.key}".upper()


def reference() -> tuple[Setting, ...]:
    """Every setting there is, in order."""
    return tuple(_describe(section, key) for section, model in SECTIONS.items() for key in model.model_fields)


def _describe(section: str, key: str) -> Setting:
    info = SECTIONS[section].model_fields[key]
    extra = info.json_schema_extra
    if not isinstance(extra, dict):
        raise TypeError(f"[{section}] {key} is not declared with _setting")
    allowed = _allowed(info.annotation, extra.get("least"), extra.get("most"))
    return Setting(section, key, info.default, str(extra["unit"]), allowed, info.description or "")


def _allowed(annotation: Any, least: object, most: object) -> str:
    kind = _kind(annotation)
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    if kind in (int, float):
        noun = "a whole number" if kind is int else "a number"
        if least is not None and most is not None:
            return f"{noun} from {least} to {most}"
        return f"{noun} of at least {least}" if least is not None else noun
    return {bool: "true or false", Path: "a path", DatabaseUrl: _URL_FORM}.get(kind, "text")


def _kind(annotation: Any) -> Any:
    """The type itself, without ``| None``."""
    rest = [part for part in get_args(annotation) if part is not NoneType]
    return rest[0] if NoneType in get_args(annotation) else annotation


# ---- finding and reading ----------------------------------------------------


def find(path: Path | None, environ: Mapping[str, str], *, cwd: Path) -> Path:
    """The file to read: the one given, HOLDFAST_CONFIG, ./holdfast.toml, the user's own; else BadInput."""
    if path is not None:
        return cwd / path
    named = environ.get(CONFIG_VARIABLE)
    if named is not None:
        if not named:
            raise BadInput("is set, but to nothing", place=CONFIG_VARIABLE, hint="unset it or name a file")
        return cwd / named
    home = environ.get("XDG_CONFIG_HOME") or (f"{environ['HOME']}/.config" if environ.get("HOME") else "")
    candidates = [cwd / FILE_NAME] + ([Path(home, "holdfast", FILE_NAME)] if home else [])
    for candidate in candidates:
        if candidate.exists():
            return candidate
    tried = " or ".join(map(str, candidates))
    raise BadInput(f"no configuration: there is no {tried}", hint="run `holdfast init`, or name a file with --config")


def load(path: Path | None, environ: Mapping[str, str], *, cwd: Path | None = None) -> Config:
    """Find, read and validate the configuration."""
    file = find(path, environ, cwd=cwd or Path.cwd())
    return parse(_read(file), file, environ)


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except FileNotFoundError as error:
        raise BadInput("no such file", place=str(file), hint="run `holdfast init` to make one") from error
    except IsADirectoryError as error:
        raise BadInput("is a folder, not a file", place=str(file)) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise BadInput("is not UTF-8", place=f"{file}:{line}") from error
    except OSError as error:
        raise OperatorError(f"cannot be read: {error.strerror}", place=str(file)) from error


def parse(text: str, file: Path, environ: Mapping[str, str]) -> Config:
    """Validate a configuration's text; ``file`` names it and anchors relative paths."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem, _, where = str(error).partition(" (at ")
        line = re.search(r"line (\d+)", where)
        # An error "at end of document" is about the last line.
        number = line.group(1) if line else str(text.count("\n") + 1)
        raise BadInput(f"not TOML: {problem[:1].lower()}{problem[1:]}", place=f"{file}:{number}") from error
    given = _from_file(tables, file, text)
    given.update(_from_environment(environ))
    built = {section: _build(section, given, file) for section in SECTIONS}
    origins = MappingProxyType({f"{section}.{key}": origin for (section, key), (_, origin) in given.items()})
    return Config(file=file, origins=origins, **built)


Given = dict[tuple[str, str], tuple[object, str]]
"""Value and origin by section and key."""


def _from_file(tables: Mapping[str, object], file: Path, text: str) -> Given:
    given: Given = {}
    for section, table in tables.items():
        if section not in SECTIONS:
            raise _unknown_section(section, table, _place(file, text, section))
        if not isinstance(table, dict):
            raise BadInput(f"[{section}] must be one table of settings", place=_place(file, text, section))
        for key, value in table.items():
            place = _place(file, text, section, key)
            if key not in SECTIONS[section].model_fields:
                raise _unknown_key(section, key, place)
            given[section, key] = (value, place)
    return given


def _unknown_section(name: str, table: object, place: str) -> BadInput:
    if isinstance(table, dict):
        near = _nearest(name, SECTIONS)
        hint = f"did you mean [{near}]?" if near else f"there are {', '.join(f'[{section}]' for section in SECTIONS)}"
        return BadInput(f"unknown section [{name}]", place=place, hint=hint)
    near = _nearest(name, _HOMES)
    hint = f"did you mean {near} in [{_HOMES[near]}]?" if near else ""
    return BadInput(f"the setting {name!r} stands outside of any section", place=place, hint=hint)


def _unknown_key(section: str, key: str, place: str) -> BadInput:
    own = SECTIONS[section].model_fields
    if near := _nearest(key, own):
        hint = f"did you mean {near}?"
    elif near := _nearest(key, _HOMES):
        hint = f"did you mean {near} in [{_HOMES[near]}]?"
    else:
        hint = f"there are {', '.join(own)}"
    return BadInput(f"unknown setting {key!r} in [{section}]", place=place, hint=hint)


def _nearest(name: str, known: Iterable[str], similarity: float = 0.6) -> str:
    """The known name most like ``name``, or "" if none is."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=similarity)
    return near[0] if near else ""


def _from_environment(environ: Mapping[str, str]) -> Given:
    by_variable = {setting.variable: setting for setting in reference()}
    given: Given = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        setting = by_variable.get(variable)
        if setting is not None:
            annotation = SECTIONS[setting.section].model_fields[setting.key].annotation
            given[setting.section, setting.key] = (_from_text(environ[variable], annotation), variable)
            continue
        of_a_section = any(variable.startswith(f"{PREFIX}{section.upper()}_") for section in SECTIONS)
        near = _nearest(variable, by_variable, 0.6 if of_a_section else _TYPO_SIMILARITY)
        if of_a_section or near:
            hint = f"did you mean {near}?" if near else "see docs/configuration.md"
            raise BadInput("this variable sets nothing", place=variable, hint=hint)
    return given


def _from_text(text: str, annotation: Any) -> object:
    """A variable's text as the type of its setting; what does not fit stays text and is refused later."""
    kind = _kind(annotation)
    if kind is bool:
        return {"true": True, "false": False}.get(text, text)
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            return text
    return text


def _place(file: Path, text: str, section: str, key: str = "") -> str:
    """``FILE:LINE`` of a section or key, or only FILE where it is written in a way not looked for."""
    header = re.compile(rf"\s*\[+\s*[\"']?{re.escape(section)}[\"']?\s*[.\]]")
    entry = re.compile(rf"\s*[\"']?{re.escape(key or section)}[\"']?\s*[.=]")
    dotted = re.compile(rf"\s*[\"']?{re.escape(section)}[\"']?\s*\.\s*[\"']?{re.escape(key)}[\"']?\s*=")
    in_section, in_any = False, False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("["):
            in_section, in_any = bool(header.match(line)), True
            found = in_section and not key
        elif key:
            found = bool(entry.match(line)) if in_section else not in_any and bool(dotted.match(line))
        else:
            found = not in_any and bool(entry.match(line))
        if found:
            return f"{file}:{number}"
    return str(file)


SectionT = TypeVar("SectionT", bound=Section)


def _build(section: str, given: Given, file: Path) -> Any:
    values = {key: value for (name, key), (value, _) in given.items() if name == section}
    try:
        built = SECTIONS[section].model_validate(values)
    except ValidationError as error:
        raise _refusal(section, given, file, error) from error
    anchored = {
        key: file.parent / value
        for key in built.__class__.model_fields
        if isinstance(value := getattr(built, key), Path)
    }
    return built.model_copy(update=anchored)


def _refusal(section: str, given: Given, file: Path, error: ValidationError) -> BadInput:
    """pydantic's report in our own words: the setting, what is allowed, what was given."""
    first = error.errors(include_url=False)[0]
    if not first["loc"]:
        problem = str(first["ctx"]["error"])
        place = next((given[section, key][1] for name, key in given if name == section and key in problem), str(file))
        return BadInput(f"[{section}] {problem}", place=place)
    key = str(first["loc"][0])
    value, place = given[section, key]
    allowed = _describe(section, key).allowed
    # Who mistypes a URL may have a password in it, where nobody would look for one.
    shown = "" if allowed == _URL_FORM else f", not {_shown(value)}"
    return BadInput(f"[{section}] {key} must be {allowed}{shown}", place=place)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def starter_text(given: Mapping[str, object] = MappingProxyType({})) -> str:
    """A first ``holdfast.toml``: every setting with its sentence, commented out at its default.

    Those ``given`` by ``section.key`` are set.
    """
    lines = ["# Holdfast's configuration. A line without '#' replaces a default;", "# paths are relative to this file."]
    for section, model in SECTIONS.items():
        lines += ["", f"# {(model.__doc__ or '').strip()}", f"[{section}]"]
        for setting in (_describe(section, key) for key in model.model_fields):
            name = f"{section}.{setting.key}"
            value = f"{setting.key} = {toml_value(given.get(name, setting.default))}"
            lines += [f"# {setting.sentence} ({setting.allowed})", value if name in given else f"# {value}"]
    return "\n".join(lines) + "\n"


def toml_value(value: object) -> str:
    """A value as one writes it in the file; an unset one as ``...``."""
    if value is None:
        return "..."
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else f'"{value}"'

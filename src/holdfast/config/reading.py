"""Finding, reading and validating the configuration."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from holdfast.config.configuration import Config
from holdfast.config.describing import HOMES, PREFIX, SECTIONS, SITES, describe, model_of, nearest, of_site, reference
from holdfast.config.fields import UNSHOWN, Section, anchored, kind_of
from holdfast.config.places import Places
from holdfast.config.storage import StorageSettings
from holdfast.model import names
from holdfast.model.errors import BadInput, InvalidName, OperatorError

FILE_NAME = "holdfast.toml"
CONFIG_VARIABLE = "HOLDFAST_CONFIG"

_TYPO_SIMILARITY = 0.85
"""From here on a HOLDFAST_ variable counts as a misspelt setting; below it is somebody else's."""


@dataclass(frozen=True, slots=True)
class _Given:
    """What was set of one section: values by key, and where each came from."""

    values: Mapping[str, object]
    origins: Mapping[str, str]

    def over(self, other: _Given) -> _Given:
        """Both; what is in this one goes before."""
        return _Given({**other.values, **self.values}, {**other.origins, **self.origins})


_NOTHING = _Given({}, {})


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
    given = dict(_from_file(tables, Places(file, text)))
    for section, of_variables in _from_environment(environ).items():
        given[section] = of_variables.over(given.get(section, _NOTHING))
    built: dict[str, Any] = {
        section: _build(section, given.get(section, _NOTHING), file.parent) for section in SECTIONS
    }
    sites = _sites(given, file.parent)
    if sites:
        built["storage"] = built["storage"].with_sites(sites)
    origins = {f"{section}.{key}": origin for section in given for key, origin in given[section].origins.items()}
    return Config(file=file, origins=MappingProxyType(origins), **built)


# ---- the file ---------------------------------------------------------------


def _from_file(tables: Mapping[str, object], places: Places) -> Iterator[tuple[str, _Given]]:
    for section, table in tables.items():
        if section not in SECTIONS:
            raise _unknown_section(section, table, places.of(section))
        settings = dict(_table(section, table, places.of(section)))
        sites = settings.pop("sites", {}) if section == "storage" else {}
        yield section, _settings_in(section, settings, places)
        yield from _sites_in(sites, places)


def _sites_in(sites: object, places: Places) -> Iterator[tuple[str, _Given]]:
    for name, table in _table(SITES, sites, places.of(*SITES.split("."))).items():
        place = places.of(*SITES.split("."), name)
        try:
            section = of_site(names.site_name(name))
        except InvalidName as error:
            raise BadInput(f"[{SITES}] {error.message}", place=place, hint=error.hint) from error
        yield section, _settings_in(section, _table(section, table, place), places, name)


def _table(section: str, table: object, place: str) -> Mapping[str, object]:
    if not isinstance(table, dict):
        what = "one table of sites" if section == SITES else "one table of settings"
        raise BadInput(f"[{section}] must be {what}", place=place)
    return table


def _settings_in(section: str, table: Mapping[str, object], places: Places, site: str = "") -> _Given:
    path = (*SITES.split("."), site) if site else (section,)
    origins = {key: places.of(*path, key) for key in table}
    for key, place in origins.items():
        if key not in model_of(section).model_fields:
            raise _unknown_key(section, key, place)
    return _Given(table, origins)


def _unknown_section(name: str, table: object, place: str) -> BadInput:
    if isinstance(table, dict):
        near = nearest(name, SECTIONS)
        hint = f"did you mean [{near}]?" if near else f"there are {', '.join(f'[{section}]' for section in SECTIONS)}"
        return BadInput(f"unknown section [{name}]", place=place, hint=hint)
    near = nearest(name, HOMES)
    hint = f"did you mean {near} in [{HOMES[near]}]?" if near else ""
    return BadInput(f"the setting {name!r} stands outside of any section", place=place, hint=hint)


def _unknown_key(section: str, key: str, place: str) -> BadInput:
    own = [*model_of(section).model_fields, *(["sites"] if section == "storage" else [])]
    if near := nearest(key, own):
        hint = f"did you mean {near}?"
    elif near := nearest(key, HOMES):
        hint = f"did you mean {near} in [{HOMES[near]}]?"
    else:
        hint = f"there are {', '.join(own)}"
    return BadInput(f"unknown setting {key!r} in [{section}]", place=place, hint=hint)


# ---- the environment --------------------------------------------------------


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Given]:
    by_variable = {setting.variable: setting for setting in reference()}
    given: dict[str, _Given] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        setting = by_variable.get(variable)
        if setting is None:
            _check_foreign(variable, by_variable)
            continue
        value = _from_text(environ[variable], model_of(setting.section).model_fields[setting.key].annotation)
        one = _Given({setting.key: value}, {setting.key: variable})
        given[setting.section] = one.over(given.get(setting.section, _NOTHING))
    return given


def _check_foreign(variable: str, known: Iterable[str]) -> None:
    """BadInput if a variable that sets nothing looks as if it should."""
    if variable.startswith(f"{PREFIX}{SITES}.".upper().replace(".", "_")):
        raise BadInput(
            "this variable sets nothing", place=variable, hint=f"what is of one site stands in [{SITES}.NAME]"
        )
    of_a_section = any(variable.startswith(f"{PREFIX}{section.upper()}_") for section in SECTIONS)
    near = nearest(variable, known, 0.6 if of_a_section else _TYPO_SIMILARITY)
    if of_a_section or near:
        hint = f"did you mean {near}?" if near else "see docs/configuration.md"
        raise BadInput("this variable sets nothing", place=variable, hint=hint)


def _from_text(text: str, annotation: Any) -> object:
    """A variable's text as the type of its setting; what does not fit stays text and is refused later."""
    kind = kind_of(annotation)
    if kind is bool:
        return {"true": True, "false": False}.get(text, text)
    try:
        if kind in (int, float):
            return kind(text)
        if kind == tuple[str, ...]:
            return shlex.split(text)
    except ValueError:
        return text
    return text


# ---- values -----------------------------------------------------------------


def _sites(given: Mapping[str, _Given], folder: Path) -> dict[str, StorageSettings]:
    for_all = given.get("storage", _NOTHING)
    return {
        section.removeprefix(f"{SITES}."): _build(section, own.over(for_all), folder)
        for section, own in given.items()
        if section not in SECTIONS
    }


def _build(section: str, given: _Given, folder: Path) -> Any:
    try:
        built = model_of(section).model_validate(dict(given.values))
    except ValidationError as error:
        raise _refusal(section, given, folder, error) from error
    return built.model_copy(update={key: anchored(getattr(built, key), folder) for key in _fields(built)})


def _fields(built: Section) -> Iterable[str]:
    return built.__class__.model_fields


def _refusal(section: str, given: _Given, folder: Path, error: ValidationError) -> BadInput:
    """pydantic's report in our own words: the setting, what is allowed, what was given."""
    first = error.errors(include_url=False)[0]
    if not first["loc"]:
        problem = str(first["ctx"]["error"])
        place = next((origin for key, origin in given.origins.items() if key in problem), str(folder / FILE_NAME))
        return BadInput(f"[{section}] {problem}", place=place)
    key = str(first["loc"][0])
    allowed = describe(section, key).allowed
    shown = "" if allowed in UNSHOWN else f", not {_shown(given.values[key])}"
    return BadInput(f"[{section}] {key} must be {allowed}{shown}", place=given.origins[key])


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

"""Finding, reading and validating the configuration."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from holdfast.config.configuration import Config
from holdfast.config.describing import OF_SITES, PREFIX, SECTIONS, describe, header, model_of, nearest, reference
from holdfast.config.fields import UNSHOWN, anchored, kind_of, names_a_place
from holdfast.config.given import NOTHING, Given, from_file, number_of
from holdfast.config.value_lines import ValueLines
from holdfast.model.errors import BadInput, OperatorError

FILE_NAME = "holdfast.toml"
CONFIG_VARIABLE = "HOLDFAST_CONFIG"

_TABLE = re.compile(r"\s*\[\s*([A-Za-z0-9_.-]+)\s*\]")

_MANY = {
    "storage.sites": "what is of one site",
    "operations.sites": "what is of one site",
    "consistency.sites": "what is of one site",
    "cleaning.sites": "what is of one site",
    "cleaning.areas": "what is of some areas",
    "operations.links": "what is of some links",
}
"""Tables that no variable reaches, and what they are for."""
_NEEDED = {"fts": ("operations.fts", "url"), "command": ("operations.command", "template")}
"""Engines that do nothing without a certain setting."""
_TYPO_SIMILARITY = 0.85
"""From here on a HOLDFAST_ variable counts as a misspelt setting; below it is somebody else's."""


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
        if line is not None and (twice := _declared_twice(text, int(line.group(1)), ValueLines(file, text))):
            raise BadInput(twice[0], place=f"{file}:{line.group(1)}", hint=twice[1]) from error
        # An error "at end of document" is about the last line.
        number = line.group(1) if line else str(text.count("\n") + 1)
        raise BadInput(f"not TOML: {problem[:1].lower()}{problem[1:]}", place=f"{file}:{number}") from error
    given = dict(from_file(tables, ValueLines(file, text)))
    for section, of_variables in _from_environment(environ).items():
        given[section] = of_variables.over(given.get(section, NOTHING))
    origins = {f"{section}.{key}": origin for section in given for key, origin in given[section].origins.items()}
    return Config(file=file, origins=MappingProxyType(origins), **_built(given, file.parent))


def _declared_twice(text: str, number: int, places: ValueLines) -> tuple[str, str] | None:
    """What to say of a table in line ``number`` that stands further up, too, and what to do; None if it does not."""
    lines = text.splitlines()
    found = _TABLE.match(lines[number - 1]) if number <= len(lines) else None
    first = places.of(*found.group(1).split(".")) if found else ""
    line = first.rpartition(":")[2]
    if found is None or not line.isdigit() or int(line) >= number:
        return None
    return f"[{found.group(1)}] is there twice, first in line {line}", f"put the settings below line {line}"


# ---- the environment --------------------------------------------------------


def _from_environment(environ: Mapping[str, str]) -> dict[str, Given]:
    by_variable = {setting.variable: setting for setting in reference()}
    given: dict[str, Given] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        setting = by_variable.get(variable)
        if setting is None:
            _check_foreign(variable, by_variable)
            continue
        value = _from_text(environ[variable], model_of(setting.section).model_fields[setting.key].annotation)
        one = Given({setting.key: value}, {setting.key: variable})
        given[setting.section] = one.over(given.get(setting.section, NOTHING))
    return given


def _check_foreign(variable: str, known: Iterable[str]) -> None:
    """BadInput if a variable that sets nothing looks as if it should."""
    for tables, what in _MANY.items():
        if variable.startswith(f"{PREFIX}{tables}.".upper().replace(".", "_")):
            name = f"[{tables}.NAME]" if tables in OF_SITES else f"[[{tables}]]"
            raise BadInput("this variable sets nothing", place=variable, hint=f"{what} stands in {name}")
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
        if get_origin(kind) is tuple:
            of_numbers = get_args(kind)[0] is int
            return [int(word) if of_numbers else word for word in shlex.split(text)]
    except ValueError:
        return text
    return text


# ---- values -----------------------------------------------------------------


def _built(given: Mapping[str, Given], folder: Path) -> dict[str, Any]:
    """The sections of a configuration."""
    built = {section: _build(section, given.get(section, NOTHING), folder) for section in SECTIONS}
    links, areas = (_of_list(given, tables) for tables in ("operations.links", "cleaning.areas"))
    for name in links:
        _check_engines(given[name], built)
    _check_reports(given, built)
    return {section: built[section] for section in SECTIONS if "." not in section} | {
        "storage": built["storage"].with_sites(_of_sites("storage", given, folder)),
        "operations": built["operations"].with_tables(
            fts=built["operations.fts"],
            command=built["operations.command"],
            links=[_build(name, given[name], folder) for name in links],
            sites=_of_sites("operations", given, folder),
        ),
        "consistency": built["consistency"].with_sites(_of_sites("consistency", given, folder)),
        "cleaning": built["cleaning"].with_tables(
            sites=_of_sites("cleaning", given, folder),
            areas=[_build(name, given[name], folder) for name in areas],
        ),
    }


def _of_list(given: Mapping[str, Given], tables: str) -> list[str]:
    """The tables of which there may be many, in their order."""
    return sorted((name for name in given if name.startswith(f"{tables}.")), key=number_of)


def _check_engines(link: Given, built: Mapping[str, Any]) -> None:
    """BadInput if a link names an engine that needs a setting which is not there."""
    named = link.values.get("engines")
    for engine, (section, key) in _NEEDED.items():
        if isinstance(named, list) and engine in named and not getattr(built[section], key):
            problem = f"the engine {engine} needs {key} in [{section}]"
            raise BadInput(f"[[operations.links]] engines: {problem}", place=link.origins["engines"])


def _check_reports(given: Mapping[str, Given], built: Mapping[str, Any]) -> None:
    """BadInput if checks with our inventory and with another catalogue are to write into one folder.

    Each would go on with what the other has left, or remove it.
    """
    kinds = ("catalogue", "consistency")
    folders = {section: os.path.normpath(built[section].reports) for section in kinds}
    if len(set(folders.values())) == 1:
        origins = (given.get(section, NOTHING).origins.get("reports") for section in kinds)
        problem = f"[consistency] reports and [catalogue] reports are both {folders['catalogue']}"
        raise BadInput(problem, place=next(filter(None, origins)), hint="give each a folder of its own")


def _of_sites(section: str, given: Mapping[str, Given], folder: Path) -> dict[str, Any]:
    """The settings of the sites that have some of their own, each over those of the section."""
    front = f"{section}.sites."
    for_all = given.get(section, NOTHING).only(OF_SITES[f"{section}.sites"].model_fields)
    return {
        name.removeprefix(front): _build(name, own.over(for_all), folder)
        for name, own in given.items()
        if name.startswith(front)
    }


def _build(section: str, given: Given, folder: Path) -> Any:
    try:
        built = model_of(section).model_validate(dict(given.values))
    except ValidationError as error:
        raise _refusal(section, given, folder, error) from error
    places = [key for key, field in built.__class__.model_fields.items() if names_a_place(field.annotation)]
    return built.model_copy(update={key: anchored(getattr(built, key), folder) for key in places})


def _refusal(section: str, given: Given, folder: Path, error: ValidationError) -> BadInput:
    """pydantic's report in our own words: the setting, what is allowed, what was given."""
    first = error.errors(include_url=False)[0]
    if not first["loc"]:
        problem = str(first["ctx"]["error"])
        place = next((origin for key, origin in given.origins.items() if key in problem), str(folder / FILE_NAME))
        return BadInput(f"{header(section)} {problem}", place=place)
    key = str(first["loc"][0])
    allowed = describe(section, key).allowed
    value = given.values[key]
    shown = "" if allowed in UNSHOWN else f", not {_shown(value, is_list_wanted=allowed.startswith('a list'))}"
    return BadInput(f"{header(section)} {key} must be {allowed}{shown}", place=given.origins[key])


def _shown(value: object, *, is_list_wanted: bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and is_list_wanted:
        text = f"[{', '.join(_shown(each, is_list_wanted=False) for each in value)}]"
    elif isinstance(value, dict | list):
        text = "a table" if isinstance(value, dict) else "a list"
    else:
        text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

"""Given: what a file sets, by section and key, before anything is made of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from holdfast.config.describing import (
    HOMES,
    LISTS,
    OF_SITES,
    SECTIONS,
    header,
    inner_tables,
    model_of,
    nearest,
    of_list,
    of_site,
)
from holdfast.config.value_lines import ValueLines
from holdfast.model import names
from holdfast.model.errors import BadInput, InvalidName


@dataclass(frozen=True, slots=True)
class Given:
    """What was set of one section: values by key, and where each came from."""

    values: Mapping[str, object]
    origins: Mapping[str, str]

    def over(self, other: Given) -> Given:
        """Both; what is in this one goes before."""
        return Given({**other.values, **self.values}, {**other.origins, **self.origins})

    def only(self, keys: Collection[str]) -> Given:
        """What was set of these keys."""
        return Given(
            {key: value for key, value in self.values.items() if key in keys},
            {key: origin for key, origin in self.origins.items() if key in keys},
        )


NOTHING = Given({}, {})


def number_of(section: str) -> int:
    """The number of one table of many."""
    return int(section.rpartition(".")[2])


def from_file(tables: Mapping[str, object], places: ValueLines) -> Iterator[tuple[str, Given]]:
    """What a file's tables set, section by section; BadInput for what has no meaning."""
    for section, table in tables.items():
        if section not in SECTIONS:
            raise _unknown_section(section, table, places.of(section))
        yield from _section(section, table, places)


def _section(section: str, table: object, places: ValueLines) -> Iterator[tuple[str, Given]]:
    settings = dict(_table(section, table, places.of(*section.split("."))))
    for name in inner_tables(section):
        inner = f"{section}.{name}"
        if name not in settings:
            continue
        value = settings.pop(name)
        if inner in SECTIONS:
            yield from _section(inner, value, places)
        elif inner in OF_SITES:
            yield from _of_sites(inner, value, places)
        else:
            yield from _of_list(inner, value, places)
    yield section, _settings_in(section, settings, places, section.split("."))


def _of_sites(tables: str, value: object, places: ValueLines) -> Iterator[tuple[str, Given]]:
    path = tables.split(".")
    for name, table in _table(tables, value, places.of(*path), "one table of sites").items():
        place = places.of(*path, name)
        try:
            section = of_site(tables, names.site_name(name))
        except InvalidName as error:
            raise BadInput(f"[{tables}] {error.message}", place=place, hint=error.hint) from error
        yield section, _settings_in(section, _table(section, table, place), places, [*path, name])


def _of_list(tables: str, value: object, places: ValueLines) -> Iterator[tuple[str, Given]]:
    path = tables.split(".")
    if not isinstance(value, list):
        place = places.of(*path)
        raise BadInput(f"[[{tables}]] must be tables, each with its own [[{tables}]] above it", place=place)
    for number, table in enumerate(value, 1):
        section = of_list(tables, number)
        place = places.of(*path, str(number))
        yield section, _settings_in(section, _table(section, table, place), places, [*path, str(number)])


def _table(section: str, table: object, place: str, what: str = "one table of settings") -> Mapping[str, object]:
    if not isinstance(table, dict):
        raise BadInput(f"{header(section)} must be {what}", place=place)
    return table


def _settings_in(section: str, table: Mapping[str, object], places: ValueLines, path: list[str]) -> Given:
    origins = {key: places.of(*path, key) for key in table}
    for key, place in origins.items():
        if key not in model_of(section).model_fields:
            raise _unknown_key(section, key, place)
    return Given(table, origins)


def _unknown_section(name: str, table: object, place: str) -> BadInput:
    outer = [section for section in SECTIONS if "." not in section]
    if isinstance(table, dict | list) and not (isinstance(table, list) and not all(isinstance(x, dict) for x in table)):
        near = nearest(name, outer) or _inner_named(name)
        hint = f"did you mean {_headed(near)}?" if near else f"there are {', '.join(f'[{each}]' for each in outer)}"
        return BadInput(f"unknown section [{name}]", place=place, hint=hint)
    near = nearest(name, HOMES)
    hint = f"did you mean {near} in {HOMES[near]}?" if near else ""
    return BadInput(f"the setting {name!r} stands outside of any section", place=place, hint=hint)


def _inner_named(name: str) -> str:
    """The table within another one that is called ``name``."""
    inner = (each for each in (*SECTIONS, *LISTS) if "." in each)
    return next((each for each in inner if each.rpartition(".")[2] == name), "")


def _headed(tables: str) -> str:
    return f"[[{tables}]]" if tables in LISTS else f"[{tables}]"


def _unknown_key(section: str, key: str, place: str) -> BadInput:
    own = [*model_of(section).model_fields, *inner_tables(section)]
    if key not in HOMES and (near := nearest(key, own)):
        hint = f"did you mean {near}?"
    elif near := nearest(key, HOMES):
        hint = f"did you mean {near} in {HOMES[near]}?"
    else:
        hint = f"there are {', '.join(own)}"
    return BadInput(f"unknown setting {key!r} in {header(section)}", place=place, hint=hint)

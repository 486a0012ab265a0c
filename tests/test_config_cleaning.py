"""The sections of cleaning: which areas a site has, what holds there, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast import config
from holdfast.model.errors import BadInput

TEXT = """
[cleaning]
protected_file = "protected.txt"
protected_command = ["bin/protected", "--all"]
files_max = 7

[[cleaning.areas]]
sites = "T2_*"
path = "/store/unmerged"
log_directories = ["logs", "more/logs"]
never_enter = ["SAM/*"]

[[cleaning.areas]]
path = "/store/temp"
min_age_days = 1.5

[cleaning.sites.T2_X]
files_max = 3
protected_file = ""
"""


def parse(text: str, **environ: str) -> config.Config:
    return config.parse(text, Path("/etc/h/holdfast.toml"), environ)


def test_areas_of_a_site_are_all_that_are_about_it() -> None:
    cleaning = parse(TEXT).cleaning
    assert [area.path for area in cleaning.areas_of("T2_X")] == ["/store/temp", "/store/unmerged"]
    assert [area.path for area in cleaning.areas_of("T1_X")] == ["/store/temp"]
    assert parse("").cleaning.areas == ()


def test_what_is_relative_is_so_to_the_file_or_to_the_area() -> None:
    cleaning = parse(TEXT).cleaning
    assert cleaning.protected_file == Path("/etc/h/protected.txt")
    assert cleaning.protected_command == ("/etc/h/bin/protected", "--all")
    assert (cleaning.areas[0].log_directories, cleaning.areas[0].never_enter) == (("logs", "more/logs"), ("SAM/*",))


def test_a_site_has_its_own_settings_over_those_of_all() -> None:
    cleaning = parse(TEXT).cleaning
    of_site = cleaning.for_site("T2_X")
    assert (of_site.files_max, of_site.protected_file) == (3, None)
    assert of_site.protected_command == cleaning.protected_command
    assert cleaning.for_site("T1_X").files_max == 7


def test_variables_go_before_the_file_but_not_before_a_site() -> None:
    cleaning = parse(TEXT, HOLDFAST_CLEANING_FILES_MAX="9").cleaning
    assert (cleaning.for_site("T1_X").files_max, cleaning.for_site("T2_X").files_max) == (9, 3)


def test_what_is_set_is_shown_with_where_it_stands() -> None:
    shown = {f"{section}.{key}": (value, origin) for section, key, value, origin in parse(TEXT).settings()}
    assert shown["cleaning.areas.2.path"] == ("/store/temp", "/etc/h/holdfast.toml:14")
    assert shown["cleaning.sites.T2_X.files_max"] == (3, "/etc/h/holdfast.toml:18")
    assert shown["cleaning.areas.1.log_directories"][0] == ("logs", "more/logs")
    assert shown["cleaning.protected_command"][0] == ("/etc/h/bin/protected", "***")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[cleaning.areas]]\nsites = 'A'", "[[cleaning.areas]] lacks the path of the area"),
        ("[[cleaning.areas]]\npath = '/'", ":2: [[cleaning.areas]] path must be a directory of the site"),
        ("[[cleaning.areas]]\npath = 'store'", "path must be a directory of the site"),
        ("[[cleaning.areas]]\npath = '/a/../b'", "path must be a directory of the site"),
        ("[[cleaning.areas]]\npath = '/.holdfast-quarantine/x'", "path must be a directory of the site"),
        ("[[cleaning.areas]]\npath = '/a'\nmin_age_days = -1", "min_age_days must be a number from 0"),
        ("[[cleaning.areas]]\npath = '/a'\nlog_directories = ['/logs']", "log_directories must be a list of"),
        ("[[cleaning.areas]]\npath = '/a'\nnever_enter = ['..']", "never_enter must be a list of"),
        ("[[cleaning.areas]]\npath = '/a'\nnever_enter = 'x'", "never_enter must be a list of"),
        ("[cleaning]\nprotected_url = 'ftp://x/y'", ":2: [cleaning] protected_url must be a URL"),
        ("[cleaning]\nprotected_url = 'https://me:s3cret@x/y'", "protected_url must be a URL"),
        ("[cleaning]\nprotected_url = 'https://x/y?token=s3cret'", "protected_url must be a URL"),
        ("[cleaning]\nfiles_of_listed_max = 1.5", "files_of_listed_max must be a number from 0 to 1"),
        ("[cleaning.areas]\npath = '/a'", "[[cleaning.areas]] must be tables"),
        ("[cleaning.site.A]\n", "did you mean sites?"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_stands(text: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(text)
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_variables_cannot_set_areas() -> None:
    with pytest.raises(BadInput, match="stands in"):
        parse("", HOLDFAST_CLEANING_AREAS_PATH="/x")

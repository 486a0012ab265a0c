"""The section of consistency: what is of one site, patterns that are no paths of ours, and the example."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast import config
from holdfast.config import ConsistencySettings, SiteConsistencySettings
from holdfast.model.errors import BadInput

SITES = """
[consistency]
orphans_max = 50
ignore_directories = ["/store/unmerged", "/*/tmp"]
ignore_datasets = ["users/*"]
[consistency.sites."T2.North"]
mode = "dry"
orphan_runs = 5
ignore_directories = []
"""


def parse(text: str, **environ: str) -> config.Config:
    return config.parse(text, Path("/etc/h/holdfast.toml"), environ)


def test_what_is_of_a_site_goes_before_what_is_of_all() -> None:
    consistency = parse(SITES, HOLDFAST_CONSISTENCY_ORPHAN_RUNS="2").consistency
    north, other = consistency.for_site("T2.North"), consistency.for_site("T2.South")
    assert (north.mode, north.orphan_runs, north.orphans_max, north.ignore_directories) == ("dry", 5, 50, ())
    assert (other.mode, other.orphan_runs, other.orphans_max) == ("act", 2, 50)
    assert north.ignore_datasets == other.ignore_datasets == ("users/*",)
    assert consistency.sites == {"T2.North"}


def test_it_is_shown_with_its_origin() -> None:
    shown = {f"{section}.{key}": (value, origin) for section, key, value, origin in parse(SITES).settings()}
    assert shown["consistency.sites.T2.North.mode"] == ("dry", "/etc/h/holdfast.toml:7")
    assert "consistency.sites.T2.North.orphans_max" not in shown


def test_patterns_are_shown_as_they_are_and_relative_to_nothing() -> None:
    shown = {f"{section}.{key}": value for section, key, value, _ in parse(SITES).settings()}
    assert shown["consistency.ignore_directories"] == ("/store/unmerged", "/*/tmp")
    assert shown["consistency.ignore_datasets"] == ("users/*",)
    given = parse("", HOLDFAST_CONSISTENCY_IGNORE_DATASETS="users/* 'a b'").consistency
    assert given.ignore_datasets == ("users/*", "a b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ignore_directories = ['store']", "must be a list of absolute paths at the site"),
        ("ignore_directories = '/store'", "must be a list of absolute paths at the site"),
        ("ignore_directories = ['/']", "must be a list of absolute paths at the site"),
        ("ignore_directories = ['/a\\nb']", ""),
        ("ignore_directories = ['/store//raw']", "must be a list of absolute paths at the site"),
        ("ignore_directories = ['/store/../raw']", "must be a list of absolute paths at the site"),
        ("ignore_directories = ['/**/raw']", "must be a list of absolute paths at the site"),
        ("ignore_datasets = ['']", "must be a list of names"),
        ("mode = 'maybe'", "must be one of act, dry, not 'maybe'"),
        ("orphan_runs = 0", "must be a whole number of at least 1, not 0"),
        ("shrunk_fraction_max = nan", "must be a number from 0 to 1, not nan"),
        ("orphan_over_days = inf", "must be a number from 0 to 36500, not inf"),
        ("missing_max = -1", "must be a whole number of at least 0"),
    ],
)
@pytest.mark.parametrize("header", ["consistency", "consistency.sites.A"])
def test_mistakes(header: str, text: str, said: str) -> None:
    text = text.replace("'", '"')
    with pytest.raises(BadInput) as caught:
        parse(f"[{header}]\n{text}")
    assert str(caught.value).startswith("/etc/h/holdfast.toml:2: ")
    assert f"[{header}]" in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize("key", ["reports", "resume_age_s", "history_days", "memory_limit_mb"])
def test_what_holds_for_all_sites_is_not_set_for_one(key: str) -> None:
    with pytest.raises(BadInput, match=f"did you mean {key} in "):
        parse(f"[consistency.sites.A]\n{key} = 1")
    assert key in ConsistencySettings.model_fields
    assert key not in SiteConsistencySettings.model_fields


def test_no_variable_sets_what_is_of_one_site() -> None:
    with pytest.raises(BadInput, match=r"what is of one site stands in \[consistency.sites.NAME\]"):
        parse("", HOLDFAST_CONSISTENCY_SITES_A_MODE="dry")


def test_the_example_of_the_starter_file_is_valid() -> None:
    text = config.starter_text()
    start = text.index("# [consistency.sites.")
    example = text[start : text.index("\n\n", start)].replace("# ", "")
    site = parse(example).consistency.for_site("T2_Example")
    assert (site.mode, site.orphans_max) == ("dry", 100)

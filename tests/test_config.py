"""holdfast.config: what is accepted, where values come from, and what is said of mistakes.

Method: small files in a temporary folder, a made-up environment; the process's
own environment is never read.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import config
from holdfast.model.errors import BadInput, HoldfastError, OperatorError


def parse(text: str, **environ: str) -> config.Config:
    return config.parse(text, Path("/etc/h/holdfast.toml"), environ)


def refusal(text: str, **environ: str) -> str:
    with pytest.raises(BadInput) as caught:
        parse(text, **environ)
    said = str(caught.value)
    assert "\n" not in said
    assert "pydantic" not in said
    assert "https://errors" not in said
    return said


def test_an_empty_file_gives_every_default():
    settings = list(parse("").settings())
    assert {origin for *_, origin in settings} == {"default"}
    assert len(settings) == len(config.reference())
    assert parse("").operations.concurrency == 8


def test_relative_paths_are_anchored_at_the_files_folder():
    assert parse("").inventory.path == Path("/etc/h/state/inventory.db")
    assert parse('[inventory]\npath = "x.db"').inventory.path == Path("/etc/h/x.db")
    assert parse('[inventory]\npath = "/var/x.db"').inventory.path == Path("/var/x.db")
    assert parse("", HOLDFAST_INVENTORY_PATH="y.db").inventory.path == Path("/etc/h/y.db")


def test_environment_before_file_before_default():
    text = "[operations]\nconcurrency = 2\nattempts_max = 9\n"
    got = parse(text, HOLDFAST_OPERATIONS_CONCURRENCY="7", UNRELATED="1")
    assert (got.operations.concurrency, got.operations.attempts_max) == (7, 9)
    assert got.origins == {
        "operations.concurrency": "HOLDFAST_OPERATIONS_CONCURRENCY",
        "operations.attempts_max": "/etc/h/holdfast.toml:3",
    }


def test_zero_and_empty_are_values_not_unset():
    assert parse("[consistency]\nignore_age_s = 0\nmissing_fraction_max = 0.0").consistency.ignore_age_s == 0
    assert parse("", HOLDFAST_CONSISTENCY_IGNORE_AGE_S="0").consistency.ignore_age_s == 0
    assert "must be one of debug, info" in refusal("", HOLDFAST_LOG_LEVEL="")
    assert "must be a path, not ''" in refusal('[inventory]\npath = ""')


def test_a_whole_number_does_for_a_number():
    assert parse("[operations]\nretry_delay_s_min = 0").operations.retry_delay_s_min == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[operations]\nconcurency = 3",
            ":2: unknown setting 'concurency' in [operations] (did you mean concurrency?)",
        ),
        ("\n[operation]\n", ":2: unknown section [operation] (did you mean [operations]?)"),
        (
            "[operations]\nworkers = 3",
            ":2: unknown setting 'workers' in [operations] (did you mean workers in [publish]?)",
        ),
        ("concurrency = 3", ":1: the setting 'concurrency' stands outside of any section"),
        ("concurrency = 3", "(did you mean concurrency in [operations]?)"),
        ("[publish]\nzzz = 3", "(there are digest, workers)"),
        ("[zzz]", "there are [inventory], [storage], [operations]"),
        ("[[log]]", ":1: [log] must be one table of settings"),
        ("log = 3", ":1: [log] must be one table of settings"),
        ("[log]\n\nlevel = 3", ":3: [log] level must be one of debug, info, warning, error, not 3"),
        (
            '[operations]\nconcurrency = "4"',
            ":2: [operations] concurrency must be a whole number from 1 to 10000, not '4'",
        ),
        ("[operations]\nconcurrency = true", "not true"),
        ("[operations]\nconcurrency = 0", "not 0"),
        ("[operations]\nconcurrency = [1]", "not a list"),
        ("[operations]\nconcurrency = 2026-01-01", "not 2026-01-01"),
        ("[operations.concurrency]\na = 1", "not a table"),
        ("operations.concurrency = 0", ":1: [operations] concurrency must be"),
        ("[consistency]\nmissing_fraction_max = nan", "must be a number from 0 to 1, not nan"),
        ("[consistency]\nmissing_fraction_max = 1.01", "must be a number from 0 to 1, not 1.01"),
        ("[inventory]\npath = 3", "must be a path, not 3"),
        ('[inventory]\npath = "a\\u0000b"', "must be a path, not 'a\\x00b'"),
        ("[operations]\nretry_delay_s_min = 9999", "retry_delay_s_min is greater than retry_delay_s_max"),
        ("[operations\n", ":1: not TOML:"),
        ('[log]\nlevel = "info', ":2: not TOML:"),
        ("[log]\n[log]", ":2: [log] is there twice, first in line 1"),
        ("[log]\n[operations.fts]\n\n[operations.fts]", ":4: [operations.fts] is there twice, first in line 2"),
        ("[storage]\nsites = 3", ":2: [storage.sites] must be one table of sites"),
        ("[storage.sites]\nA = 3", ":2: [storage.sites.A] must be one table of settings"),
        ("[storage.site.A]", ":1: unknown setting 'site' in [storage] (did you mean sites?)"),
        ('[storage.sites."a/b"]', ":1: [storage.sites] site name 'a/b' is not a name (1 to 64 of"),
        (
            "[storage.sites.A]\ntokn = 'x'",
            ":2: unknown setting 'tokn' in [storage.sites.A] (did you mean token?)",
        ),
        (
            "[storage.sites.A]\nconcurrency = 3",
            ":2: unknown setting 'concurrency' in [storage.sites.A] (did you mean concurrency in [operations]?)",
        ),
        (
            "[storage.sites.A]\n[storage.sites.B]\nin_flight_max = 0",
            ":3: [storage.sites.B] in_flight_max must be a whole number from 1 to 4096, not 0",
        ),
        ("storage.sites.B.in_flight_max = 0", ":1: [storage.sites.B] in_flight_max must be"),
        ("[storage.sites]\nB = {in_flight_max = 0}", ":2: [storage.sites.B] in_flight_max must be"),
        ("[storage]\nin_flight_max = 0\n[storage.sites.B]", ":2: [storage] in_flight_max must be"),
        ("[storage]\nrenew_command = 'x y'", "must be a list of texts: a program and its arguments"),
        ("[storage]\nrenew_command = ['x', 3]", "must be a list of texts: a program and its arguments"),
        ("[storage]\nrenew_command = ['', 'x']", ":2: [storage] renew_command must be"),
        ("[storage]\ncall_timeout_s = 0", "must be a number from 0.1 to 86400, not 0"),
        ("[operations]\nlinks = 3", ":2: [[operations.links]] must be tables, each with its own [[operations.links]]"),
        ("[operations.links]\nsource = 'A'", ":1: [[operations.links]] must be tables"),
        ("operations.links = [3]", ":1: [[operations.links]] must be one table of settings"),
        ("[[operations]]", ":1: [operations] must be one table of settings"),
        ("[operations]\nlink = 3", ":2: unknown setting 'link' in [operations] (did you mean links?)"),
        (
            "[[operations.links]]\n[[operations.links]]\nengine = 'local'",
            ":3: unknown setting 'engine' in [[operations.links]] (did you mean engines?)",
        ),
        (
            "[[operations.links]]\n\n[[operations.links]]\n\nsource = '[A]'",
            ":5: [[operations.links]] source must be the name of a site, in which * stands for any text",
        ),
        ("[operations]\nlinks = [{}, {streams = 0}]", ":2: [[operations.links]] streams must be a whole number"),
        (
            "[[operations.links]]\nengines = ['gridftp']",
            "engines must be a list of some of http, xrootd, local, fts, command, each once, not ['gridftp']",
        ),
        ("[[operations.links]]\nengines = []", "each once, not []"),
        ("[[operations.links]]\nengines = ['local', 'local']", "each once, not ['local', 'local']"),
        (
            "[[operations.links]]\nengines = ['http', 'fts']",
            ":2: [[operations.links]] engines: the engine fts needs url in [operations.fts]",
        ),
        (
            "[[operations.links]]\nengines = ['command']",
            ":2: [[operations.links]] engines: the engine command needs template in [operations.command]",
        ),
        ("[fts]", ":1: unknown section [fts] (did you mean [operations.fts]?)"),
        ("[[links]]", ":1: unknown section [links] (did you mean [[operations.links]]?)"),
        ("[operations]\nstreams = 3", "(did you mean streams in [[operations.links]]?)"),
        ("[operations]\nfts = 3", ":2: [operations.fts] must be one table of settings"),
        ("[operations.fts]\nulr = 'x'", ":2: unknown setting 'ulr' in [operations.fts] (did you mean url?)"),
        (
            "[operations.fts]\nproxy = 'x509up'\ntoken = 'fts.token'",
            "[operations.fts] proxy and token are both set; the service is shown one of them, so leave the other out",
        ),
        ("[operations.sites]\nA = 3", ":2: [operations.sites.A] must be one table of settings"),
        (
            "[operations.sites.A]\nconcurrency = 3",
            ":2: unknown setting 'concurrency' in [operations.sites.A] (did you mean concurrency in [operations]?)",
        ),
        ("[operations.sites.A]\nper_site_in = 0", ":2: [operations.sites.A] per_site_in must be"),
        (
            "[operations.command]\ntemplate = ['cp', '{source}']",
            ":2: [operations.command] template has no {destination}",
        ),
        ("[operations.command]\ntemplate = ['cp', '{destination}']", "template has neither {source} nor {list}"),
        (
            "[operations.command]\ntemplate = ['cp', '{source}', '{dest}']",
            "template has {dest}, which stands for nothing",
        ),
        (
            "[operations.command]\ntemplate = ['x', '{list}', '{source}']",
            "template has {source}, which stands for nothing",
        ),
        (
            "[operations.command]\ntemplate = ['cp', '{source', '{destination}']",
            "template has a brace without its other",
        ),
        ("[operations.command]\ntemplate = ['{source}', '{destination}']", "template must begin with a program"),
        (
            "[operations.command]\nretry_codes = [1, 2]\nfatal_codes = [2]",
            "[operations.command] two of retry_codes, fatal_codes, full_codes and down_codes have the code 2",
        ),
        ("[operations.command]\nretry_codes = [0]", "must be a list of whole numbers from 1 to 255, not [0]"),
        ("[operations.command]\nretry_codes = ['1']", "must be a list of whole numbers from 1 to 255, not ['1']"),
        ("[operations.command]\ninherit = ['A B']", "must be a list of names of variables, not ['A B']"),
    ],
)
def test_mistakes_in_the_file(text: str, said: str):
    got = refusal(text)
    assert got.startswith("/etc/h/holdfast.toml")
    assert said in got


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("HOLDFAST_OPERATIONS_CONCURENCY", "3", "(did you mean HOLDFAST_OPERATIONS_CONCURRENCY?)"),
        ("HOLDFAST_OPERATION_CONCURRENCY", "3", "(did you mean HOLDFAST_OPERATIONS_CONCURRENCY?)"),
        ("HOLDFAST_LOG_QZX", "3", "sets nothing"),
        ("HOLDFAST_OPERATIONS_CONCURRENCY", "many", "must be a whole number from 1 to 10000, not 'many'"),
        ("HOLDFAST_OPERATIONS_CONCURRENCY", "", "not ''"),
        ("HOLDFAST_CONSISTENCY_MISSING_FRACTION_MAX", "nan", "not nan"),
        ("HOLDFAST_STORAGE_SITES_A_TOKEN", "x", "sets nothing (what is of one site stands in [storage.sites.NAME])"),
        ("HOLDFAST_STORAGE_RENEW_COMMAND", "x 'y", "must be a list of texts"),
        ("HOLDFAST_STORAGE_IN_FLIGHT_MX", "3", "(did you mean HOLDFAST_STORAGE_IN_FLIGHT_MAX?)"),
        ("HOLDFAST_OPERATIONS_SITES_A_PER_SITE_IN", "3", "(what is of one site stands in [operations.sites.NAME])"),
        ("HOLDFAST_OPERATIONS_LINKS_STREAMS", "3", "(what is of some links stands in [[operations.links]])"),
        ("HOLDFAST_OPERATIONS_FTS_ULR", "x", "(did you mean HOLDFAST_OPERATIONS_FTS_URL?)"),
        ("HOLDFAST_OPERATIONS_COMMAND_RETRY_CODES", "1 x", "must be a list of whole numbers from 1 to 255, not '1 x'"),
    ],
)
def test_mistakes_in_the_environment(variable: str, value: str, said: str):
    got = refusal("", **{variable: value})
    assert got.startswith(f"{variable}: ")
    assert said in got


@pytest.mark.parametrize(
    ("text", "environ", "place"),
    [
        ("[consistency]\nreports = 'reports-catalogue'", {}, "/etc/h/holdfast.toml:2"),
        ("[consistency]\nreports = 'a'\n[catalogue]\nreports = './b/../a/'", {}, "/etc/h/holdfast.toml:4"),
        ("[catalogue]\nreports = 'a'", {"HOLDFAST_CONSISTENCY_REPORTS": "/etc/h/a"}, "/etc/h/holdfast.toml:2"),
        ("", {"HOLDFAST_CATALOGUE_REPORTS": "/etc/h/reports"}, "HOLDFAST_CATALOGUE_REPORTS"),
    ],
)
def test_reports_of_two_kinds_have_folders_of_their_own(text: str, environ: dict[str, str], place: str):
    got = refusal(text, **environ)
    assert got.startswith(f"{place}: [consistency] reports and [catalogue] reports are both /etc/h/")
    assert "give each a folder of its own" in got


def test_other_programs_variables_are_left_alone():
    assert parse("", HOLDFAST_CONFIG="x", HOLDFAST_KILLS="10", HOLDFAST_HOME="/h").origins == {}
    # What a renew_command is told, which may itself be a command of ours.
    assert parse("", HOLDFAST_SITE="T2_Here").origins == {}


def test_find_prefers_what_is_nearer(tmp_path: Path):
    named, here, own = tmp_path / "n.toml", tmp_path / "holdfast.toml", tmp_path / "xdg/holdfast/holdfast.toml"
    own.parent.mkdir(parents=True)
    for number, file in enumerate((named, here, own), 1):
        file.write_text(f"[operations]\nconcurrency = {number}\n")
    environ = {"HOLDFAST_CONFIG": "n.toml", "XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    assert config.load(here, environ, cwd=tmp_path).file == here
    assert config.load(None, environ, cwd=tmp_path).operations.concurrency == 1
    del environ["HOLDFAST_CONFIG"]
    assert config.load(None, environ, cwd=tmp_path).operations.concurrency == 2
    here.unlink()
    assert config.load(None, environ, cwd=tmp_path).operations.concurrency == 3
    own.unlink()
    with pytest.raises(BadInput, match="holdfast init"):
        config.load(None, environ, cwd=tmp_path)


def test_files_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(BadInput, match="no such file"):
        config.load(tmp_path / "absent.toml", {})
    with pytest.raises(BadInput, match="is a folder"):
        config.load(tmp_path, {})
    with pytest.raises(BadInput, match="is set, but to nothing"):
        config.load(None, {"HOLDFAST_CONFIG": ""}, cwd=tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"# fine\n# \xff\n")
    with pytest.raises(BadInput, match=r"bytes\.toml:2: is not UTF-8"):
        config.load(tmp_path / "bytes.toml", {})
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    with pytest.raises(OperatorError, match="cannot be read"):
        config.load(tmp_path / "loop.toml", {})


def test_the_starter_file_is_valid_and_says_the_defaults():
    assert parse(config.starter_text()) == config.Config(
        file=Path("/etc/h/holdfast.toml"),
        inventory=parse("").inventory,
        consistency=parse("").consistency,
        catalogue=parse("").catalogue,
    )
    named = [line[2:] for line in config.starter_text().splitlines() if " = " in line and "..." not in line]
    for line in named:
        assert tomllib.loads(line)
    assert len(named) >= 10


def test_every_setting_says_what_it_is_for():
    for setting in config.reference():
        assert setting.sentence.endswith(".")
        assert setting.unit
        assert setting.variable.isupper()


def test_sections_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        parse("").operations.concurrency = 3  # type: ignore[misc]


@given(st.text(max_size=60), st.dictionaries(st.sampled_from([s.variable for s in config.reference()]), st.text()))
def test_hostile_input_raises_only_our_errors(text: str, environ: dict[str, str]):
    try:
        assert config.parse(text, Path("/x/h.toml"), environ).file
    except HoldfastError:
        pass


def test_the_process_environment_is_not_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(os.environ, "HOLDFAST_OPERATIONS_CONCURRENCY", "9")
    assert parse("").operations.concurrency == 8


URL = "postgresql://me:open%20sesame@db.example:5433/holdfast?sslpassword=hidden&sslmode=require"


def test_the_inventory_is_in_the_file_unless_a_database_is_named():
    assert parse("").inventory.place == Path("/etc/h/state/inventory.db")
    named = parse(f'[inventory]\ndatabase = "{URL}"\npath = "x/y.db"').inventory
    assert (named.place, named.path) == (URL, Path("/etc/h/x/y.db"))
    assert parse("", HOLDFAST_INVENTORY_DATABASE=URL).inventory.place == URL


def test_a_password_is_never_shown():
    shown = {
        f"{section}.{key}": value for section, key, value, _ in parse("", HOLDFAST_INVENTORY_DATABASE=URL).settings()
    }
    assert shown["inventory.database"] == (
        "postgresql://me:***@db.example:5433/holdfast?sslpassword=***&sslmode=require"
    )


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://db/holdfast", "postgresql://db/holdfast"),
        ("postgresql://me@db/holdfast", "postgresql://me@db/holdfast"),
        ("postgresql://me:p@ss/w:rd@db/holdfast", "postgresql://me:***@db/holdfast"),
        ("postgresql://:secret@/holdfast?host=%2Ftmp", "postgresql://:***@/holdfast?host=%2Ftmp"),
        ("postgresql:///holdfast?user=me&password=a%26b", "postgresql:///holdfast?user=me&password=***"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str):
    assert config.without_password(url) == shown


@pytest.mark.parametrize("url", ["", "hidden", "postgres//me:hidden@db/x", "mysql://me:hidden@db/x", "inventory.db"])
def test_what_is_no_url_of_a_database_is_refused_without_showing_it(url: str):
    said = refusal(f'[inventory]\ndatabase = "{url}"')
    assert "/etc/h/holdfast.toml:2: [inventory] database must be a URL: postgresql://USER@HOST:PORT/DATABASE" in said
    assert "hidden" not in said


def test_the_starter_file_sets_what_is_given():
    text = config.starter_text({"inventory.database": URL})
    assert tomllib.loads(text)["inventory"] == {"database": URL}
    assert parse(text).inventory.place == URL


SITES = """
[storage]
token = "all.token"
in_flight_max = 64
renew_command = ["bin/renew", "--all"]
[storage.sites."T2.North"]
token = "secrets/north.token"
proxy = "/tmp/x509up"
[storage.sites.South]
token = ""
in_flight_max = 8
renew_command = ["renew"]
[storage.sites.East]
"""


def test_a_site_may_have_settings_of_its_own():
    storage = parse(SITES, HOLDFAST_STORAGE_CALL_TIMEOUT_S="9").storage
    north, south, east, other = (storage.for_site(name) for name in ("T2.North", "South", "East", "West"))
    assert (north.token, north.proxy) == (Path("/etc/h/secrets/north.token"), Path("/tmp/x509up"))
    assert (north.in_flight_max, north.renew_command) == (64, ("/etc/h/bin/renew", "--all"))
    assert (south.token, south.in_flight_max, south.renew_command) == (None, 8, ("renew",))
    assert east == storage.for_site("East")
    assert (other.token, other.in_flight_max, other.proxy) == (Path("/etc/h/all.token"), 64, None)
    assert {each.call_timeout_s for each in (north, south, east, other)} == {9.0}


def test_a_sites_setting_goes_before_the_environment():
    environ = {"HOLDFAST_STORAGE_IN_FLIGHT_MAX": "5", "HOLDFAST_STORAGE_TOKEN": ""}
    storage = parse(SITES, **environ).storage
    assert (storage.in_flight_max, storage.token) == (5, None)
    assert (storage.for_site("South").in_flight_max, storage.for_site("T2.North").in_flight_max) == (8, 5)
    assert storage.for_site("T2.North").token == Path("/etc/h/secrets/north.token")


def test_the_environment_gives_a_command_as_a_shell_would_read_it():
    storage = parse("", HOLDFAST_STORAGE_RENEW_COMMAND="./renew 'a b' c").storage
    assert storage.renew_command == ("/etc/h/renew", "a b", "c")
    assert parse("[storage]\nrenew_command = ['x']", HOLDFAST_STORAGE_RENEW_COMMAND="").storage.renew_command == ()


def test_settings_of_a_site_are_shown_with_their_origin():
    shown = {f"{section}.{key}": (value, origin) for section, key, value, origin in parse(SITES).settings()}
    assert shown["storage.token"] == (Path("/etc/h/all.token"), "/etc/h/holdfast.toml:3")
    assert shown["storage.sites.T2.North.token"] == (Path("/etc/h/secrets/north.token"), "/etc/h/holdfast.toml:7")
    assert shown["storage.sites.South.token"] == (None, "/etc/h/holdfast.toml:10")
    assert shown["storage.sites.South.in_flight_max"] == (8, "/etc/h/holdfast.toml:11")
    assert "storage.sites.T2.North.in_flight_max" not in shown
    assert not any(name.startswith("storage.sites.East") for name in shown)


@pytest.mark.parametrize("key", ["token", "proxy", "keys", "authorities"])
@pytest.mark.parametrize(
    "secret", ["eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2ln", "-----BEGIN PRIVATE KEY-----", "Bearer hidden", "h" * 2000]
)
def test_a_secret_in_the_place_of_its_file_is_refused_and_not_shown(key: str, secret: str):
    said = refusal(f'[storage.sites.A]\n{key} = "{secret}"')
    assert f":2: [storage.sites.A] {key} must be the path of the file or folder that holds it" in said
    assert secret not in said
    assert "hidden" not in said


def test_the_example_of_a_site_in_the_starter_file_is_valid():
    text = config.starter_text()
    start = text.index("# [storage.sites.")
    example = text[start : text.index("\n\n", start)].replace("# ", "")
    site = parse(example).storage.for_site("T2_Example")
    assert (site.in_flight_max, site.token) == (32, Path("/etc/h/secrets/example.token"))


OPERATIONS = """
[operations]
per_site_in = 50
per_link = 9
[operations.sites."T2.North"]
remove_empty_directories = true
per_site_out = 7
[[operations.links]]
source = "T1_*"
destination = "T2.?????"
engines = ["fts", "http"]
streams = 20
[operations.fts]
url = "https://fts.example:8446"
token = "secrets/fts.token"
[[operations.links]]
destination = "T2.North"
per_link = 3
[operations.command]
template = ["bin/mover", "--list={list}", "{{}}"]
retry_codes = [5, 6]
"""


def test_the_first_table_that_is_about_a_link_counts_whole():
    operations = parse(OPERATIONS).operations
    assert operations.for_link("T1_X", "T2.North") == operations.links[0]
    assert operations.for_link("T2.North", "T2.North") == operations.links[1]
    first, second, other = operations.links[0], operations.links[1], operations.for_link("A", "B")
    assert (first.engines, first.streams, first.per_link) == (("fts", "http"), 20, None)
    assert (second.engines, second.streams, second.per_link) == (other.engines, other.streams, 3)
    assert other == config.LinkSettings()


@pytest.mark.parametrize(
    ("pattern", "names"),
    [("*", "A T1_X T2.North"), ("T?_*", "T1_X"), ("T1_X", "T1_X"), ("T2.*", "T2.North"), ("?", "A"), ("*_?", "T1_X")],
)
def test_patterns_of_sites(pattern: str, names: str):
    link = config.LinkSettings(source=pattern)
    assert [name for name in ("A", "T1_X", "T2.North") if link.is_about(name, "B")] == names.split()


def test_what_is_of_a_site_goes_before_what_is_of_all():
    operations = parse(OPERATIONS, HOLDFAST_OPERATIONS_PER_SITE_OUT="2").operations
    north, other = operations.for_site("T2.North"), operations.for_site("T2.South")
    assert (north.per_site_in, north.per_site_out, north.remove_empty_directories) == (50, 7, True)
    assert (other.per_site_in, other.per_site_out, other.remove_empty_directories) == (50, 2, False)
    assert operations.sites == {"T2.North"}


def test_sections_within_sections():
    operations = parse(OPERATIONS, HOLDFAST_OPERATIONS_FTS_POLL_INTERVAL_S="9").operations
    assert (operations.fts.url, operations.fts.poll_interval_s) == ("https://fts.example:8446", 9)
    assert operations.fts.token == Path("/etc/h/secrets/fts.token")
    assert operations.command.template == ("/etc/h/bin/mover", "--list={list}", "{{}}")
    assert operations.command.is_of_batches
    environ = {"HOLDFAST_OPERATIONS_COMMAND_TEMPLATE": "cp '{source}' {destination}"}
    environ["HOLDFAST_OPERATIONS_COMMAND_RETRY_CODES"] = "7 8"
    command = parse(OPERATIONS, **environ).operations.command
    assert (command.template, command.retry_codes) == (("cp", "{source}", "{destination}"), (7, 8))
    assert not command.is_of_batches


def test_tables_of_many_are_shown_with_their_origin():
    shown = {f"{section}.{key}": (value, origin) for section, key, value, origin in parse(OPERATIONS).settings()}
    assert shown["operations.sites.T2.North.per_site_out"] == (7, "/etc/h/holdfast.toml:7")
    assert shown["operations.links.1.engines"] == (("fts", "http"), "/etc/h/holdfast.toml:11")
    assert shown["operations.links.2.per_link"] == (3, "/etc/h/holdfast.toml:18")
    assert shown["operations.fts.url"] == ("https://fts.example:8446", "/etc/h/holdfast.toml:14")
    assert shown["operations.command.template"] == (("/etc/h/bin/mover", "***"), "/etc/h/holdfast.toml:20")
    assert shown["operations.command.retry_codes"] == ((5, 6), "/etc/h/holdfast.toml:21")
    assert "operations.links.2.engines" not in shown
    assert not any(name.startswith("operations.links.3") for name in shown)


@pytest.mark.parametrize(
    "url", ["http://fts.example", "https://me:hidden@fts.example", "fts.example", "https://x/?a=hidden", ""]
)
def test_what_is_no_address_of_a_service_is_refused_without_showing_it(url: str):
    said = refusal(f'[operations.fts]\nurl = "{url}"')
    assert "[operations.fts] url must be a URL: https://HOST:PORT, without a name or password in it" in said
    assert "hidden" not in said


@pytest.mark.parametrize("header", ["operations.sites.", "[operations.links]"])
def test_the_examples_of_the_starter_file_are_valid(header: str):
    text = config.starter_text()
    start = text.index(f"# [{header}")
    example = text[start : text.index("\n\n", start)].replace("# ", "")
    fts = '[operations.fts]\nurl = "https://fts.example:8446"\n'
    operations = parse(fts + example).operations
    assert operations.sites == {"T2_Example"} if "sites" in header else operations.for_link("T1_X", "B").streams == 20

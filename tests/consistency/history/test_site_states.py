"""Site states: the last word counts, every word is kept, and what a site refuses says by whose word and what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from history_world import NOW_US, HistoryWorld

from holdfast.consistency.history.states import SiteState, States
from holdfast.model.errors import BadInput, Conflict


def say(world: HistoryWorld, site: str = "A", **what: str) -> SiteState:
    world.now_us += 1
    return world.states.set(site, **{"by": "anna", "reason": "downtime", **what}, at_us=world.now_us)  # type: ignore[arg-type]


def test_a_site_of_which_nothing_was_said_is_ready_to_be_acted_on(world: HistoryWorld) -> None:
    state = world.states.get("A")
    assert state == SiteState("A")
    assert (state.state, state.mode, state.refusal, state.mode_refusal) == ("ready", "act", "", "")
    assert world.states.all() == {}


@pytest.mark.parametrize("word", ["halted", "disabled"])
def test_halted_and_disabled_until_it_is_resumed(world: HistoryWorld, word: str) -> None:
    state = say(world, state=word)
    assert state == world.states.get("A")
    assert (state.state, state.by, state.at_us, state.reason) == (word, "anna", NOW_US + 1, "downtime")
    for part in ("A is", word, "anna", "2023-11-14", "downtime", "holdfast consistency resume A"):
        assert part in state.refusal
    with pytest.raises(Conflict, match="anna"):
        state.require_ready()
    say(world, state="ready", reason="it is back")
    resumed = world.states.get("A")
    assert (resumed.state, resumed.reason, resumed.refusal) == ("ready", "it is back", "")
    resumed.require_ready()


def test_state_and_mode_have_words_of_their_own(world: HistoryWorld) -> None:
    say(world, state="halted", by="anna", reason="downtime")
    state = say(world, mode="dry", by="bert", reason="migration")
    assert (state.state, state.by, state.reason) == ("halted", "anna", "downtime")
    assert (state.mode, state.mode_by, state.mode_reason) == ("dry", "bert", "migration")
    assert "anna" in state.refusal
    for part in ("A is in mode dry", "bert", "migration", "holdfast consistency mode A act"):
        assert part in state.mode_refusal
    state = say(world, state="ready")
    assert (state.state, state.mode) == ("ready", "dry")


def test_the_configuration_has_the_mode_until_somebody_says_one(world: HistoryWorld) -> None:
    states = States(world.store, mode_of={"A": "dry", "B": "act"}.__getitem__)
    assert states.get("A").mode_refusal.startswith("A is in mode dry (by the configuration);")
    say(world, state="halted")
    assert states.get("A").mode == "dry"
    say(world, mode="act")
    assert states.get("A").mode == "act"
    say(world, "B", mode="dry")
    assert {name: state.mode for name, state in states.all().items()} == {"A": "act", "B": "dry"}


@pytest.mark.parametrize("state", [SiteState("A", state="paused"), SiteState("A", mode="maybe")])
def test_what_this_release_does_not_know_is_refused(state: SiteState) -> None:
    assert "does not know" in state.refusal + state.mode_refusal


def test_every_word_is_kept_in_order(world: HistoryWorld) -> None:
    say(world, state="halted")
    say(world, "B", mode="dry")
    say(world, state="ready", mode="act", reason="")
    assert [(word.site, word.said, word.reason) for word in world.states.words()] == [
        ("A", "halted", "downtime"),
        ("B", "dry", "downtime"),
        ("A", "ready", ""),
        ("A", "act", ""),
    ]
    assert [word.at_us for word in world.states.words("B")] == [NOW_US + 2]


def test_a_dry_run_says_nothing(world: HistoryWorld) -> None:
    would = world.states.set("A", state="halted", by="anna", at_us=1, reason="", dry_run=True)
    assert would.state == "halted"
    assert world.states.get("A") == SiteState("A")
    assert world.states.words() == []


@pytest.mark.parametrize("what", [{}, {"state": "act"}, {"mode": "halted"}, {"state": ""}, {"mode": "ACT"}])
def test_what_is_no_word_is_refused(world: HistoryWorld, what: dict[str, str]) -> None:
    with pytest.raises(BadInput):
        say(world, **what)
    assert world.states.words() == []


def test_a_site_is_running_while_a_check_holds_its_lock(world: HistoryWorld) -> None:
    lock = world.lock()
    world.begin()
    assert world.states.get("A").is_running
    assert not world.states.get("B").is_running
    assert world.states.all() == {"A": SiteState("A", is_running=True)}
    halted = say(world, state="halted")
    assert (halted.state, halted.is_running) == ("halted", True)
    lock.release()
    assert world.states.all() == {"A": replace(halted, is_running=False)}

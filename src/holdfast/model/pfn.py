"""From LFN to PFN and back, by a door's ordered chains of rules.

A door has a root (a folder or a URL prefix) and an ordered list of chains. A
chain is a list of steps (regular expression, template), applied one after the
other to the whole text, ``{0}``, ``{1}`` ... standing for the captures. The
first chain all of whose steps match wins; none means the file has no PFN
there. No chains at all means: the path is the LFN. (The grammar is that of
Dynamo's filename mappings.) Paths are then appended to the root.

Rules
  * A path that comes out is validated like an LFN, so no rule can climb out of
    the root.
  * Going back is only by rules the site states (``inverse``); the answer
    counts only if going forth from it gives the path again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from holdfast.model import names
from holdfast.model.errors import BadInput, InvalidName


@dataclass(frozen=True, slots=True)
class RewriteStep:
    """One rewriting: the pattern must match the whole text."""

    pattern: str
    template: str


Chain = tuple[RewriteStep, ...]

_TEMPLATE = re.compile(r"(?:[^{}]|\{\{|\}\}|\{[0-9]{1,2}\})*\Z")
"""Nothing that reaches into a value or formats it: templates come from configuration."""

_PLAIN_PATH = re.compile(r"(?=.{1,255}\Z)(?:/[A-Za-z0-9_\-][A-Za-z0-9_.\-]*)+\Z")
"""A path that is surely valid; of others ``names`` has to say."""

_REST = "(/.*)"
"""What follows a prefix."""


@dataclass(frozen=True, slots=True)
class PfnRules:
    """Chains from LFN to path, and from path to LFN; both empty: the path is the LFN."""

    chains: tuple[Chain, ...] = ()
    inverse: tuple[Chain, ...] = ()

    @staticmethod
    def prefix(lfn_prefix: str, path_prefix: str) -> PfnRules:
        """Rules that exchange one leading directory for another ("" for none)."""
        forth = RewriteStep(f"{re.escape(lfn_prefix)}{_REST}", f"{_literal(path_prefix)}{{0}}")
        back = RewriteStep(f"{re.escape(path_prefix)}{_REST}", f"{_literal(lfn_prefix)}{{0}}")
        return PfnRules(chains=((forth,),), inverse=((back,),))


def check(rules: PfnRules) -> None:
    """BadInput if a pattern or template of ``rules`` cannot work."""
    for chain in (*rules.chains, *rules.inverse):
        if not chain:
            raise BadInput("a chain of PFN rules is empty", hint="give at least one step")
        for step in chain:
            try:
                if not _TEMPLATE.match(step.template):
                    raise ValueError("a template has {0}, {1} ... for the captures, and {{ }} for braces")
                groups = re.compile(step.pattern).groups
                step.template.format(*[""] * groups)
            except (re.error, IndexError, KeyError, ValueError) as error:
                raise BadInput(f"PFN rule {step.pattern!r} -> {step.template!r}: {error}") from error


def path_of(rules: PfnRules, lfn: str) -> str | None:
    """The path of ``lfn`` within the door's root, or None if no chain fits."""
    if not rules.chains:
        return lfn
    return _validated(_first_match(rules.chains, lfn), lfn)


class StepTrace(NamedTuple):
    """What one step did with ``text``: ``captures`` and ``result`` are None if its pattern did not match."""

    step: RewriteStep
    text: str
    captures: tuple[str, ...] | None
    result: str | None


def trace(rules: PfnRules, lfn: str) -> tuple[tuple[StepTrace, ...], ...]:
    """How ``path_of`` comes to its answer: the steps of each chain that was tried, the chain that won last.

    A chain's steps end with the first that did not match. Nothing is validated here.
    """
    tried = []
    for chain in rules.chains:
        steps = tuple(_traced(chain, lfn))
        tried.append(steps)
        if steps[-1].result is not None:
            break
    return tuple(tried)


def _traced(chain: Chain, lfn: str) -> Iterator[StepTrace]:
    text = lfn
    for step in chain:
        match = _compiled(step.pattern).fullmatch(text)
        if match is None:
            yield StepTrace(step, text, None, None)
            return
        captures = match.groups(default="")
        result = step.template.format(*captures)
        yield StepTrace(step, text, captures, result)
        text = result


def lfn_of(rules: PfnRules, path: str) -> str | None:
    """The LFN whose path is ``path``, or None if there is none that we can name."""
    lfn = _first_match(rules.inverse, path) if rules.chains else path
    if lfn is None:
        return None
    try:
        names.lfn(lfn)
        return lfn if path_of(rules, lfn) == path else None
    except InvalidName:
        return None


def may_have_lfn(rules: PfnRules, path: str) -> bool:
    """Whether some LFN could lead to ``path``: true unless the rules prove that none does.

    Only rules with an inverse can prove anything; without one the answer is
    "yes, it may", so that nobody deletes what he cannot name.
    """
    if not rules.chains or lfn_of(rules, path) is not None:
        return True
    if not rules.inverse:
        return True
    # The inverse claims to cover every path the chains can make; one that it does not know is nobody's.
    return _first_match(rules.inverse, path) is not None


def is_one_to_one(rules: PfnRules) -> bool:
    """Whether the rules surely give no two LFNs the same path: those of ``PfnRules.prefix``, or none."""
    return not rules.chains or exchanged_prefix(rules) is not None


def exchanged_prefix(rules: PfnRules) -> tuple[str, str] | None:
    """The LFN's prefix and the path's, if exchanging them is all that the rules do; else None."""
    if len(rules.chains) != 1 or len(rules.chains[0]) != 1:
        return None
    step = rules.chains[0][0]
    head = step.pattern.removesuffix(_REST)
    literal = re.sub(r"\\(.)", r"\1", head)
    # Unescaping and escaping gives the same text only for a literal: no groups, no alternatives.
    is_literal = head != step.pattern and re.escape(literal) == head
    template = step.template.removesuffix("{0}")
    if not is_literal or template == step.template or "{" in template.replace("{{", ""):
        return None
    return literal, template.replace("{{", "{").replace("}}", "}")


def common_beginnings(rules: PfnRules) -> tuple[str, ...]:
    """What all paths of each chain begin with, so far as it is written before the first capture."""
    return tuple(chain[-1].template.partition("{")[0] for chain in rules.chains) or ("/",)


def bytes_added(rules: PfnRules) -> int | None:
    """How many bytes longer than its LFN a path is at most, if it cannot become invalid but by that; else None."""
    if not rules.chains:
        return 0
    exchanged = exchanged_prefix(rules)
    if exchanged is None:
        return None
    try:
        names.lfn(f"{exchanged[1]}/x")
    except InvalidName:
        return None
    return max(len(exchanged[1].encode()) - len(exchanged[0].encode()), 0)


def compiled(root: str, rules: PfnRules) -> Callable[[str], str | None]:
    """``pfn_of`` for many LFNs: the rules are taken apart once.

    An LFN is taken to be valid. InvalidName, as from ``path_of``, if the rules
    make no valid path of it.
    """
    chains = [[(_compiled(step.pattern).fullmatch, step.template.format) for step in chain] for chain in rules.chains]
    front = root.rstrip("/")

    def made(lfn: str) -> str | None:
        for chain in chains:
            text = lfn
            for match_whole, fill in chain:
                match = match_whole(text)
                if match is None:
                    break
                text = fill(*match.groups(""))
            else:
                if not _PLAIN_PATH.match(text):
                    _validated(text, lfn)
                return front + text
        return None if chains else front + lfn

    return made


def pfn_of(root: str, rules: PfnRules, lfn: str) -> str | None:
    """The whole PFN: root and path; None if the door has none for ``lfn``."""
    path = path_of(rules, lfn)
    return None if path is None else below(root, path)


def below(root: str, path: str) -> str:
    """The PFN of a path of a door."""
    return root.rstrip("/") + path


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _first_match(chains: tuple[Chain, ...], text: str) -> str | None:
    for chain in chains:
        result: str | None = text
        for step in chain:
            match = _compiled(step.pattern).fullmatch(result) if result is not None else None
            result = step.template.format(*match.groups(default="")) if match else None
        if result is not None:
            return result
    return None


def _validated(path: str | None, lfn: str) -> str | None:
    if path is not None:
        try:
            names.lfn(path)
        except InvalidName as error:
            raise InvalidName(f"the PFN rules make {path!r} of {lfn!r}, which is no path: {error.message}") from error
    return path

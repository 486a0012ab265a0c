"""PFN rules as text: how ``site add`` takes them and ``site show`` prints them.

One chain is ``REGEX=>TEMPLATE``, further steps of it after ``;;``:
``/store/(.*)=>/cms/{0}`` or ``/store/(.*)=>{0};;(.*)=>/data/{0}``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.model import pfn
from holdfast.model.errors import BadInput
from holdfast.model.pfn import Chain, PfnRules, RewriteStep, StepTrace
from holdfast.model.records import Door

_ARROW, _NEXT = "=>", ";;"


def chain_of(text: str) -> Chain:
    """Parse one chain."""
    steps = []
    for part in text.split(_NEXT):
        pattern, arrow, template = part.rpartition(_ARROW)
        if not arrow or not pattern:
            raise BadInput(f"the chain {text!r} is no rule", hint="write 'REGEX=>TEMPLATE', steps divided by ';;'")
        steps.append(RewriteStep(pattern, template))
    return tuple(steps)


def text_of(chain: Chain) -> str:
    """``chain`` as ``chain_of`` takes it."""
    return _NEXT.join(f"{step.pattern}{_ARROW}{step.template}" for step in chain)


def rules_of(
    *, lfn_prefix: str | None, path_prefix: str | None, chains: Sequence[str], inverse: Sequence[str]
) -> PfnRules:
    """The rules that the options of ``site add`` mean; BadInput if they contradict each other or cannot work."""
    by_prefix = lfn_prefix is not None or path_prefix is not None
    if by_prefix and (chains or inverse):
        raise BadInput("--chain and --inverse do not go with --lfn-prefix and --path-prefix", hint="use one of the two")
    if inverse and not chains:
        raise BadInput("--inverse without --chain", hint="without rules the path is the LFN, in both directions")
    if by_prefix:
        rules = PfnRules.prefix(_prefix(lfn_prefix), _prefix(path_prefix))
    else:
        rules = PfnRules(tuple(map(chain_of, chains)), tuple(map(chain_of, inverse)))
    pfn.check(rules)
    return rules


def _prefix(text: str | None) -> str:
    kept = (text or "").rstrip("/")
    if kept and not kept.startswith("/"):
        raise BadInput(f"the prefix {text!r} is not absolute", hint="begin it with '/'")
    return kept


def record(door: Door) -> dict[str, Any]:
    """A door for machines."""
    return {
        "protocol": door.protocol,
        "root": door.root,
        "chains": [text_of(chain) for chain in door.rules.chains],
        "inverse": [text_of(chain) for chain in door.rules.inverse],
    }


def explain(door: Door, lfn: str) -> list[str]:
    """How a door makes a PFN of ``lfn``, a line each: every chain that was tried, and each of its steps."""
    if not door.rules.chains:
        return ["no rules: the path is the LFN", f"root {door.root}"]
    said = []
    for number, steps in enumerate(pfn.trace(door.rules, lfn), 1):
        verdict = "wins" if steps[-1].result is not None else "does not match"
        said.append(f"chain {number} of {len(door.rules.chains)}: {verdict}")
        said += [f"  {line}" for place, step in enumerate(steps, 1) for line in _step_lines(place, step)]
    return [*said, f"root {door.root}"]


def _step_lines(number: int, step: StepTrace) -> list[str]:
    lines = [f"step {number}: {step.step.pattern}{_ARROW}{step.step.template}"]
    if step.captures is None:
        return [*lines, f"  does not match the whole of {step.text}"]
    captures = "".join(f", {{{place}}} = {each}" for place, each in enumerate(step.captures))
    return [*lines, f"  {step.text} -> {step.result}{captures}"]


def explanation(door: Door, lfn: str) -> dict[str, Any]:
    """The same for machines."""
    return {
        "protocol": door.protocol,
        "root": door.root,
        "pfn": door.pfn(lfn),
        "has_rules": bool(door.rules.chains),
        "chains": [
            [
                {"pattern": each.step.pattern, "template": each.step.template, "text": each.text}
                | {"captures": each.captures, "result": each.result}
                for each in steps
            ]
            for steps in pfn.trace(door.rules, lfn)
        ],
    }

"""PFN rules as text: how ``site add`` takes them and ``site show`` prints them.

One chain is ``REGEX=>TEMPLATE``, further steps of it after ``;;``:
``/store/(.*)=>/cms/{0}`` or ``/store/(.*)=>{0};;(.*)=>/data/{0}``.
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.model import pfn
from holdfast.model.errors import BadInput
from holdfast.model.pfn import Chain, PfnRules, Step

_ARROW, _NEXT = "=>", ";;"


def chain_of(text: str) -> Chain:
    """Parse one chain."""
    steps = []
    for part in text.split(_NEXT):
        pattern, arrow, template = part.rpartition(_ARROW)
        if not arrow or not pattern:
            raise BadInput(f"the chain {text!r} is no rule", hint="write 'REGEX=>TEMPLATE', steps divided by ';;'")
        steps.append(Step(pattern, template))
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


def explain(rules: PfnRules, lfn: str) -> list[str]:
    """How ``rules`` make a path of ``lfn``: what each chain says, up to the one that wins."""
    if not rules.chains:
        return ["no rules: the path is the LFN"]
    said = []
    for number, chain in enumerate(rules.chains, 1):
        path = pfn.path_of(PfnRules((chain,)), lfn)
        said.append(f"chain {number}: {text_of(chain)}: {'does not match' if path is None else path}")
        if path is not None:
            break
    return said

"""Door roots: what can be said of a door's root before its storage is asked anything.

Rules
  * A root with a password, a key or a token in it is refused and never shown:
    roots stand in the inventory, in its journal and in logs.
  * Of a protocol that comes from a plug-in it is known only that there is one;
    what its roots look like is said when the door is opened.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from holdfast.model.errors import BadInput
from holdfast.storage import doors

_SECRETS = (
    # A user and a password; not a host, its port and an @ in the path.
    re.compile(r"://[^/?#@:\[]*:(?!\d*(?:[/?#]|$))[^@]*@"),
    re.compile(r"[?&;][^=&;]*(authz|token|passw|secret|signature|credential|key|x-amz-)[^=&;]*=", re.IGNORECASE),
    re.compile(r"\beyJ[\w-]+\.|\bBearer\b"),
)


def check_root(protocol: str, root: str) -> None:
    """BadInput for a protocol nobody serves, and for a root of the wrong shape or with a secret in it."""
    refuse_secrets(root)
    known = doors.protocols()
    if protocol not in known:
        raise BadInput(f"no driver for the protocol {protocol!r}", hint=f"known are {', '.join(known)}")
    if protocol not in doors.BUILT_IN:
        return
    module, _, name = doors.BUILT_IN[protocol].root.rpartition(".")
    try:
        parse = getattr(import_module(f"holdfast.storage.{module}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("holdfast"):
            raise
        return  # Without its client library the door cannot be opened either, which says so.
    parse(root)


def absolute(root: str, protocol: str) -> str:
    """A path of this machine by its one name: as seen from here, links followed. Any other root as it is."""
    known = doors.BUILT_IN.get(protocol)
    if known is None or not known.is_here or (known.has_options and "://" in root):
        return root
    path, mark, options = root.partition("?") if known.has_options else (root, "", "")
    folder = doors.posix_root(path) if "://" in path else Path(path)
    try:
        return f"{folder.resolve()}{mark}{options}"
    except (OSError, RuntimeError) as error:
        raise BadInput(f"the links of the root lead nowhere: {error}", hint="name the folder itself") from error


def refuse_secrets(root: str) -> None:
    """BadInput, which does not show it, for a root with a secret in it."""
    if any(secret.search(root) for secret in _SECRETS):
        hint = "name the file that has it in holdfast.toml, [storage]"
        raise BadInput("the root has a password, a key or a token in it", hint=hint)

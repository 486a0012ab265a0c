"""Keys of object stores, from the files in which people keep them.

Read are AWS credentials files (``[profile]``, then ``aws_access_key_id = ...``),
the same as TOML, and plain ``key=value`` without a profile.

Rules
  * A profile that is asked for and is not there is refused, never replaced by
    another.
  * Settings of other tools in the same file are passed over.
  * Where the file says when session keys expire, they do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from holdfast.model.clock import SECOND_US
from holdfast.storage.access.file import Credential

PROFILE = "default"

_SECTION = re.compile(r"\[\s*(?:profile\s+)?[\"']?([^\]\"']+?)[\"']?\s*\]\s*(?:[#;].*)?")
_SETTING = re.compile(r"(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)")
_QUOTED = re.compile(r"""(["'])(.*)\1\s*(?:[#;].*)?""")
_KEY = re.compile(r"[!-~]*")
_NAMES = {
    "access_key_id": "id",
    "access_key": "id",
    "secret_access_key": "secret",
    "secret_key": "secret",
    "session_token": "session",
    "security_token": "session",
    "expiration": "end",
    "session_expiration": "end",
    "x_security_token_expires": "end",
}


@dataclass(frozen=True, slots=True)
class Keys:
    """What an object store signs requests by."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


def parse(data: bytes, profile: str = PROFILE) -> Credential[Keys]:
    """The keys of ``profile``; ValueError with the reason if they are not there."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    profiles = _profiles(text)
    found = profiles.get(profile)
    if found is None:
        known = ", ".join(name for name, values in profiles.items() if values) or "none"
        raise ValueError(f"there is no profile {profile!r} in it; there are: {known}")
    for name, shown in (("id", "aws_access_key_id"), ("secret", "aws_secret_access_key")):
        if not found.get(name):
            raise ValueError(f"the profile {profile!r} has no {shown}")
    keys = Keys(found["id"], found["secret"], found.get("session", ""))
    if not all(_KEY.fullmatch(each) for each in (keys.access_key_id, keys.secret_access_key, keys.session_token)):
        raise ValueError(f"the profile {profile!r} has characters in it that no key has")
    return Credential(keys, until_us=_moment_us(found.get("end", "")))


def _profiles(text: str) -> dict[str, dict[str, str]]:
    """What is known of each profile, under our own words."""
    profile = PROFILE
    profiles: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        # What is indented belongs to a setting of another tool.
        if not line.strip() or line[0] in "#; \t":
            continue
        if header := _SECTION.fullmatch(line.strip()):
            profile = header.group(1)
            profiles.setdefault(profile, {})
        elif setting := _SETTING.fullmatch(line.strip()):
            name = _NAMES.get(setting.group(1).lower().removeprefix("aws_"))
            if name is not None:
                profiles.setdefault(profile, {})[name] = _unquoted(setting.group(2))
    return profiles


def _unquoted(value: str) -> str:
    quoted = _QUOTED.fullmatch(value)
    return quoted.group(2) if quoted else value


def _moment_us(text: str) -> int | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("it does not say in ISO 8601 when the keys expire") from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * SECOND_US)

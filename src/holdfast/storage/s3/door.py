"""S3Door: the root of a door to an object store, and where in the store it leads.

    s3://BUCKET[/PREFIX][?OPTION=VALUE&...]

    endpoint=https://host:port   the store; left out: Amazon's, in ``region``
    region=NAME                  what requests are signed for, us-east-1 if not said
    path_style=true|false        the bucket in the path or in the host's name; true where there is an endpoint
    allow_http=true              without TLS: keys stay secret, contents do not; for tests
    ranges=N                     how many pieces of one large prefix are listed at once, 8 if not said; 1: none
    part_mb=N                    the size of parts of large uploads, 16 MiB at first if not said
    etag_is_md5=true             the store vows that the ETag of what was uploaded in one piece is its MD5
    conditional=false            the store does not keep If-None-Match and If-Match: look before instead

Blanks, percent signs and the like in PREFIX are percent-encoded, as in every
URL. The key of the path ``/a/b`` is ``PREFIX/a/b``.

Rules
  * An option that is not known, given twice or of no sense is refused.
  * There are no keys in a root; one that has them is refused without showing it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from holdfast.model import names
from holdfast.model.errors import BadInput, InvalidName

KEY_BYTES_MAX = 1024
SAFE = "-_.~"
"""What is never percent-encoded beside letters and digits."""

_HINT = "write s3://bucket/prefix?endpoint=https://host:port&region=name"
_OPTIONS = (
    "endpoint",
    "region",
    "path_style",
    "allow_http",
    "ranges",
    "part_mb",
    "etag_is_md5",
    "conditional",
)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}\Z")
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
_HOST = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\Z")
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class S3Door:
    """See the module's docstring. ``prefix`` is "" or ends in "/"."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    """Scheme, host and port of the store, without the bucket."""
    region: str = "us-east-1"
    path_style: bool = True
    ranges: int = 8
    part_bytes: int = 16 * _MIB
    etag_is_md5: bool = False
    conditional: bool = True

    @property
    def base(self) -> str:
        """What URLs of this bucket begin with, without a slash at the end."""
        if self.path_style:
            return f"{self.endpoint}/{self.bucket}"
        scheme, _, host = self.endpoint.partition("://")
        return f"{scheme}://{self.bucket}.{host}"

    @property
    def secure(self) -> bool:
        """Whether TLS is spoken."""
        return self.endpoint.startswith("https://")

    @property
    def shown(self) -> str:
        """Bucket and prefix, for people."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def key(self, path: str) -> str:
        """The key of a file; InvalidName if that is longer than keys may be."""
        key = f"{self.prefix}{path[1:]}"
        if len(key.encode()) > KEY_BYTES_MAX:
            raise InvalidName(f"the key of {path[:60]!r}... is longer than {KEY_BYTES_MAX} bytes")
        return key

    def keys_below(self, path: str) -> str:
        """What the keys of everything below a directory begin with."""
        return self.prefix if path == "/" else f"{self.prefix}{path[1:]}/"


def encode(text: str, *, keep: str = "") -> str:
    """Percent-encoded as signatures want it: all but letters, digits, ``-_.~`` and ``keep``."""
    return quote(text, safe=SAFE + keep, errors="surrogateescape")


def parse(root: str) -> S3Door:
    """The door that ``root`` describes; BadInput if it makes no sense."""
    try:
        parts = urlsplit(root)
        port = parts.port
    except ValueError:
        raise BadInput("the root is no URL", hint=_HINT) from None
    if parts.username is not None or parts.password is not None:
        raise BadInput("the root of a door has no keys in it", hint="name a file with them in holdfast.toml")
    if parts.scheme != "s3" or port is not None or parts.fragment or not _BUCKET.match(parts.netloc):
        raise BadInput(f"{root!r} is not the root of an s3 door", hint=_HINT)
    options = _options(root, parts.query)
    endpoint = _endpoint(options)
    return S3Door(
        bucket=parts.netloc,
        prefix=_prefix(root, parts.path),
        endpoint=endpoint,
        region=_word(options, "region", _REGION, "us-east-1"),
        path_style=_flag(options, "path_style", bool(options.get("endpoint"))),
        ranges=_number(options, "ranges", 8, 1, 256),
        part_bytes=_number(options, "part_mb", 16, 5, 512) * _MIB,
        etag_is_md5=_flag(options, "etag_is_md5", False),
        conditional=_flag(options, "conditional", True),
    )


def _options(root: str, query: str) -> Mapping[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict") if query else []
    except ValueError:
        raise BadInput(f"the options of {root!r} make no sense", hint=_HINT) from None
    options: dict[str, str] = {}
    for name, value in pairs:
        if name not in _OPTIONS:
            # The value is not shown: somebody may have put a key there.
            near = difflib.get_close_matches(name, _OPTIONS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(_OPTIONS)}"
            raise BadInput(f"an s3 door has no option {name[:40]!r}", hint=hint)
        if name in options:
            raise BadInput(f"the option {name!r} of an s3 door is given twice")
        options[name] = value
    return options


def _prefix(root: str, path: str) -> str:
    try:
        prefix = unquote(path, errors="strict").strip("/")
        if prefix:
            names.directory(f"/{prefix}")
    except (UnicodeDecodeError, InvalidName) as error:
        raise BadInput(f"{root!r} is not the root of an s3 door: {error}", hint=_HINT) from error
    return f"{prefix}/" if prefix else ""


def _endpoint(options: Mapping[str, str]) -> str:
    given = options.get("endpoint", "")
    if not given:
        return f"https://s3.{_word(options, 'region', _REGION, 'us-east-1')}.amazonaws.com"
    scheme, mark, host = given.partition("://")
    if not mark or scheme not in ("http", "https") or not _HOST.match(host.removesuffix("/")):
        raise BadInput("the endpoint of an s3 door is not https://host or https://host:port", hint=_HINT)
    if scheme == "http" and not _flag(options, "allow_http", False):
        raise BadInput(
            "the endpoint of an s3 door is without TLS", hint="take https, or say allow_http=true if that is meant"
        )
    return f"{scheme}://{host.removesuffix('/').lower()}"


def _flag(options: Mapping[str, str], name: str, default: bool) -> bool:
    value = options.get(name)
    if value not in (None, "true", "false"):
        raise BadInput(f"the option {name!r} of an s3 door is neither true nor false")
    return default if value is None else value == "true"


def _number(options: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    value = options.get(name, str(default))
    if not (value.isascii() and value.isdigit() and len(value) < 10 and least <= int(value) <= most):
        raise BadInput(f"the option {name!r} of an s3 door is not a number from {least} to {most}")
    return int(value)


def _word(options: Mapping[str, str], name: str, pattern: re.Pattern[str], default: str) -> str:
    value = options.get(name, default)
    if not pattern.match(value):
        raise BadInput(f"the option {name!r} of an s3 door is not a name")
    return value

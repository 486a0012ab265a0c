"""XRootD servers that do not let everybody in: by bearer tokens, or by proxies with VOMS attributes.

    with token_xrootd(authority) as (server, issuer): ...
    with voms_xrootd(authority, user) as server: ...

Rules
  * With tokens, what their scopes say is allowed, and nothing to anybody else.
    The library that checks them trusts only the authorities of the system, so
    this server sees our authority among those: that takes a mount name space,
    and for that we have to be root.
  * With proxies, ``user`` reads by name, and who has attributes of the group
    ``VO`` does everything.
  * The folder of the authority must be one that every user can enter.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.testing.servers.test_authority import TestAuthority
from holdfast.testing.servers.test_user import TestUser
from holdfast.testing.servers.token_issuer import AUDIENCE, TokenIssuer, token_issuer
from holdfast.testing.servers.xrootd_server import EXPORT, XrootdServer, account, guarded_folder, xrootd_server

VO = "cms"

_SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")

_TOKENS = """
all.sitename TESTSITE
http.header2cgi Authorization authz
ofs.authorize 1
ofs.authlib ++ libXrdAccSciTokens.so config={config}/tokens.cfg
acc.authdb {config}/authdb
"""
_ISSUERS = f"""[Global]
audience = {AUDIENCE}
[Issuer Test]
issuer = {{issuer}}
base_path = {EXPORT}
"""
_PROXIES = """
xrootd.seclib libXrdSec.so
sec.protocol gsi -certdir:{certs} -cert:{folder}/host.pem -key:{folder}/hostkey.pem -crl:0 -gridmap:{config}/gridmap \
-gmapopt:1 -vomsat:1 -vomsfun:libXrdVoms.so
http.secxtractor libXrdVoms.so
http.gridmap {config}/gridmap
ofs.authorize 1
acc.authdb {config}/authdb
"""
# The shell's $0 is the bundle, its arguments the command.
_TRUSTING = f'mount --bind "$0" {_SYSTEM_BUNDLE} && exec setpriv --reuid={{uid}} --regid={{gid}} --clear-groups -- "$@"'


def missing_for_tokens() -> str:
    """What keeps ``token_xrootd`` from running here, or ""."""
    if os.geteuid() != 0:
        return "only root can give a server authorities of its own"
    lacking = [program for program in ("unshare", "setpriv", "mount") if shutil.which(program) is None]
    if lacking:
        return f"no {', '.join(lacking)} on PATH"
    if not _SYSTEM_BUNDLE.exists():
        return f"no {_SYSTEM_BUNDLE}"
    tried = subprocess.run(
        ["unshare", "-m", "mount", "--bind", str(_SYSTEM_BUNDLE), str(_SYSTEM_BUNDLE)], capture_output=True, check=False
    )
    return "a mount name space is refused" if tried.returncode else _missing_library("libXrdAccSciTokens")


def missing_for_voms() -> str:
    """What keeps ``voms_xrootd`` from running here, or ""."""
    if shutil.which("voms-proxy-fake") is None:
        return "no voms-proxy-fake on PATH"
    return _missing_library("libXrdVoms")


def _missing_library(name: str) -> str:
    found = any(path for folder in (Path("/usr/lib"), Path("/usr/lib64")) for path in folder.glob(f"**/{name}-*.so"))
    return "" if found else f"XRootD's plug-in {name} is not installed"


@contextmanager
def token_xrootd(authority: TestAuthority) -> Iterator[tuple[XrootdServer, TokenIssuer]]:
    """A server that goes by tokens, and who issues them."""
    user = account()
    with guarded_folder("holdfast-tokens-") as config, token_issuer(authority) as issuer:
        (config / "tokens.cfg").write_text(_ISSUERS.format(issuer=issuer.url))
        (config / "authdb").touch()
        bundle = config / "bundle.crt"
        bundle.write_bytes(_SYSTEM_BUNDLE.read_bytes() + authority.bundle.read_bytes())
        (config / "cache").mkdir()
        user.own(config / "cache")
        trusting = _TRUSTING.format(uid=user.uid, gid=user.gid)
        with xrootd_server(
            authority=authority,
            extra=_TOKENS.replace("{config}", str(config)),
            environment={"XDG_CACHE_HOME": str(config / "cache")},
            wrapper=["unshare", "-m", "sh", "-c", trusting, str(bundle)],
        ) as server:
            yield server, issuer


@contextmanager
def voms_xrootd(authority: TestAuthority, user: TestUser) -> Iterator[XrootdServer]:
    """A server that goes by proxies, over root:// and https."""
    with guarded_folder("holdfast-voms-") as config:
        authority.write_lsc(config / "vomsdir", VO)
        (config / "gridmap").write_text(f'"{user.dn}" known\n')
        (config / "authdb").write_text(f"u known {EXPORT} rl\ng /{VO} {EXPORT} a\n")
        extra = _PROXIES.replace("{config}", str(config)).replace("{certs}", str(authority.certs))
        environment = {"X509_VOMS_DIR": str(config / "vomsdir")}
        with xrootd_server(authority=authority, extra=extra, environment=environment) as server:
            yield server

"""Mover: the program of a site that moves files, run once: for one file or for a batch.

Rules
  * It is run without a shell, in a group of its own, with nothing to read, and
    is gone with all it has started when its time is over, when it is silent
    for too long, or when nobody waits for it any more. If we are killed it is
    killed, too, where the system has ``setpriv``; what it has started is not.
  * It finds in its environment what ``inherit`` names, and the credentials of
    the two sites as paths of files; nothing else of ours.
  * Its exit code says how it ended as far as the configuration explains it.
    Any other code but 0, and an end by us, says nothing: the files have to tell.
  * Of what it writes the last line is repeated, without what may be a secret,
    and with ``{source}`` and the like in the place of what these stand for.

Raises EngineDown where the program itself cannot work: it is not installed, or
says so by its code. Fault where there are no credentials of a site to show.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from holdfast.config import CommandSettings, templates
from holdfast.model.errors import HoldfastError, OperatorError, PeerError
from holdfast.operations import codes
from holdfast.operations.engine import EngineDown
from holdfast.operations.engines.proving import EngineFault
from holdfast.storage import program
from holdfast.storage.access import Access
from holdfast.storage.access.renewal import scrubbed
from holdfast.storage.program import NOWHERE, Program

TAIL_BYTES = 1 << 16
"""How much of what the program writes is kept."""

_WITH_US = ("--pdeathsig", "KILL", "--")
"""What has setpriv run a program that dies with us."""
_SHORT = 4
"""Values shorter than this are left in what the program says: they would be found everywhere."""


class Ending(Enum):
    """What the program's end means for a file."""

    DONE = "it says that the file has been moved"
    LATER = "try again later"
    NEVER = "this will not work"
    FULL = "there is no room at the destination"
    UNKNOWN = "it does not say; the files have to tell"


@dataclass(frozen=True, slots=True)
class Said:
    """How the program ended, and why that was, in its last words."""

    ending: Ending
    error: str = ""


class Mover:
    """The program that ``settings`` name. ``access`` gives that of a site."""

    def __init__(self, settings: CommandSettings, access: Callable[[str], Access]) -> None:
        self._settings = settings
        self._access = access

    async def run(self, source: str, destination: str, values: Mapping[str, str]) -> Said:
        """Run it for the link between two sites; ``values`` are put into its template."""
        name, *arguments = templates.filled(self._settings.template, values)
        environment = await self._environment(source, destination)
        tool = Program(name, f"{name}, or correct template in [operations.command]", environment)
        try:
            tool, arguments = _dying_with_us(tool, arguments)
            ended = await program.run(
                tool,
                arguments,
                limit_s=self._settings.timeout_s,
                silence_s=self._settings.silence_s or None,
                output_bytes_max=TAIL_BYTES,
                keeps_end=True,
            )
        except OperatorError as error:
            raise EngineDown(error.message, hint=error.hint) from error
        except PeerError as error:
            return Said(Ending.UNKNOWN, error.message.replace(tool.name, name, 1))
        return self._judged(name, ended, values)

    def _judged(self, name: str, ended: program.Ended, values: Mapping[str, str]) -> Said:
        if ended.code == 0:
            return Said(Ending.DONE)
        how = f"exit code {ended.code}" if ended.code > 0 else f"signal {-ended.code}"
        error = f"{name} ended with {how}{_last_words(ended, values)}"
        if ended.code in self._settings.down_codes:
            raise EngineDown(error)
        for ending, known in (
            (Ending.LATER, self._settings.retry_codes),
            (Ending.NEVER, self._settings.fatal_codes),
            (Ending.FULL, self._settings.full_codes),
        ):
            if ended.code in known:
                return Said(ending, error)
        return Said(Ending.UNKNOWN, error)

    async def _environment(self, source: str, destination: str) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in self._settings.inherit if name in os.environ}
        found = program.environment(**inherited)
        proxy = token = authorities = None
        # What programs look for in usual places is the destination's, where it has any: it is what is changed.
        for end, site, code_of in (
            ("DESTINATION", destination, codes.of_destination),
            ("SOURCE", source, codes.of_source),
        ):
            access = self._access(site)
            try:
                shown = await access.proxy()
                # Read, renewed and judged here; the program reads the file itself.
                await access.token()
            except HoldfastError as error:
                raise EngineFault(code_of(error), f"{site}: {error}") from error
            found[f"HOLDFAST_{end}_PROXY"] = str(shown or NOWHERE)
            found[f"HOLDFAST_{end}_TOKEN"] = str(access.settings.token or NOWHERE)
            proxy = proxy or shown
            token = token or access.settings.token
            authorities = authorities or access.settings.authorities
        if authorities is not None:
            found["X509_CERT_DIR" if authorities.is_dir() else "X509_CERT_FILE"] = str(authorities)
        return found | {"X509_USER_PROXY": str(proxy or NOWHERE), "BEARER_TOKEN_FILE": str(token or NOWHERE)}


def _dying_with_us(tool: Program, arguments: Sequence[str]) -> tuple[Program, list[str]]:
    """The same program, to be killed when we are; as it is where the system cannot do that.

    OperatorError if it is not installed: whoever starts it for us would only say so in its own words.
    """
    guard, path = shutil.which("setpriv"), tool.environment.get("PATH")
    if shutil.which(tool.name, path=path) is None:
        raise OperatorError(f"the program {tool.name} cannot be run: it is not there", hint=f"install {tool.package}")
    if guard is None:
        return tool, list(arguments)
    return Program(guard, "util-linux", tool.environment), [*_WITH_US, tool.name, *arguments]


def _last_words(ended: program.Ended, values: Mapping[str, str]) -> str:
    """The last line that the program has written, as it may be shown, after a colon; "" if it wrote none."""
    for output in (ended.err, ended.out):
        lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
        if lines:
            line = lines[-1]
            for name, value in sorted(values.items(), key=lambda item: -len(item[1])):
                if len(value) >= _SHORT:
                    line = line.replace(value, f"{{{name}}}")
            return f": {scrubbed(line)}"
    return ""

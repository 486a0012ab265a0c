"""CommandSource: protected paths that a program prints.

Rules
  * It is run without a shell, in an environment that holds no secret of ours.
  * Only a program that ends by itself with 0, in time, has told the whole list.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.consistency.cleaning.protecting import lists
from holdfast.model.errors import PeerError
from holdfast.storage import program
from holdfast.storage.program import Program

ERROR_CHARS = 200


@dataclass(frozen=True, slots=True)
class CommandSource:
    """What ``command`` prints within ``limit_s``, at most ``bytes_max``."""

    command: tuple[str, ...]
    limit_s: float
    bytes_max: int
    key: str

    @property
    def name(self) -> str:
        """The program, without its arguments: there may be a secret among them."""
        return f"protected_command {self.command[0]}"

    async def paths(self, site: str) -> tuple[str, ...]:
        """What the program says of a site."""
        what = Program(self.command[0], "it, or correct protected_command", program.environment(HOLDFAST_SITE=site))
        ended = await program.run(what, self.command[1:], limit_s=self.limit_s, output_bytes_max=self.bytes_max)
        if ended.code:
            raise PeerError(f"ended with {ended.code}{_last_words(ended.err)}")
        return lists.parse(ended.out, key=self.key)


def _last_words(err: bytes) -> str:
    lines = [line.strip() for line in err.decode(errors="replace").splitlines() if line.strip()]
    return f": {lines[-1][:ERROR_CHARS]}" if lines else ""

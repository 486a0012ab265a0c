"""DelayProxy: a far, slow and faulty way to a server of this machine.

    with delay_proxy(server.root_port, round_trip_s=0.1) as proxy:
        ...  # speak to 127.0.0.1:proxy.port
        proxy.faults = Faults(cut=0.01, stall=0.01)
        ...
        assert proxy.counts["cut"]

A process of its own (``delay_line``), so that it costs whom it serves nothing
but its share of the processors.

Rules
  * Each direction takes half the round trip; order is kept; throughput is not
    limited, because every piece has a moment at which it is due. What a client
    says first comes a round trip later than that, as if the connection had been
    made that far away.
  * Nothing is faulty until ``faults`` say so; they hold for what happens from
    then on, on old connections, too.
  * Chance has a seed. Connections are numbered and throw dice of their own, but
    how a stream falls into pieces is up to the machine: shares are kept, the
    same run is not to be had twice.
  * ``counts`` say what was done, and of what there was how much.
  * A server that is not there shows itself as a connection that breaks at once.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

END_S = 20.0


@dataclass(frozen=True, slots=True)
class ProxyFaults:
    """Shares, from 0 to 1, of what goes wrong and how."""

    refuse: float = 0.0
    """Of connections: reset as soon as they are made."""
    cut: float = 0.0
    """Of the pieces that the server sends: the connection is reset in the place of the piece."""
    half: float = 0.0
    """... a part of the piece comes, then the connection is reset."""
    truncate: float = 0.0
    """... a part of the piece comes, then the connection ends in good order."""
    stall: float = 0.0
    """... nothing comes any more, for ``stall_s``."""
    garbage: float = 0.0
    """... other bytes come, as many."""
    cut_sending: float = 0.0
    """Of the pieces that the client sends: the connection is reset in the place of the piece."""
    unavailable: float = 0.0
    """Of HTTP requests: 503 with Retry-After, and the server hears nothing of it. HTTP is seen without TLS only."""
    forbidden: float = 0.0
    """... 403."""
    half_body: float = 0.0
    """... the head of the reply comes, half of what else was there, and then the connection ends in good order."""
    stall_s: float | None = None
    """None: for ever."""


class DelayProxy:
    """See the module's docstring."""

    def __init__(self, target_port: int, *, round_trip_s: float = 0.0, seed: int = 0) -> None:
        command = [sys.executable, "-m", "holdfast.testing.servers.delay_line", str(target_port), str(seed)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self._faults = ProxyFaults()
        self._round_trip_s = round_trip_s
        self.port: int = self._ask({"round_trip_s": round_trip_s})["port"]
        """Where to connect to, on 127.0.0.1."""

    @property
    def faults(self) -> ProxyFaults:
        """What goes wrong from now on."""
        return self._faults

    @faults.setter
    def faults(self, faults: ProxyFaults) -> None:
        self._ask({"faults": asdict(faults)})
        self._faults = faults

    @property
    def round_trip_s(self) -> float:
        """How far away the server seems."""
        return self._round_trip_s

    @round_trip_s.setter
    def round_trip_s(self, seconds: float) -> None:
        self._ask({"round_trip_s": seconds})
        self._round_trip_s = seconds

    @property
    def counts(self) -> Mapping[str, int]:
        """What has happened so far: each fault by its name; connections, requests (HTTP), pieces and bytes."""
        counts: dict[str, int] = self._ask({})["counts"]
        return counts

    def cut_all(self) -> None:
        """Reset every connection there is now."""
        self._ask({"cut_all": True})

    def close(self) -> None:
        """End it, and every connection through it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _ask(self, order: Mapping[str, object]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the delay proxy has ended: {self._process.poll()}")
        return json.loads(answer)


@contextmanager
def delay_proxy(target_port: int, *, round_trip_s: float = 0.0, seed: int = 0) -> Iterator[DelayProxy]:
    """A proxy that runs; gone at the end, also if this process dies."""
    proxy = DelayProxy(target_port, round_trip_s=round_trip_s, seed=seed)
    try:
        yield proxy
    finally:
        proxy.close()

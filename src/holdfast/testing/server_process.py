"""ServerProcess: starts, asks and kills a process of ``holdfast.testing.inventory_server``.

Rules
  * Any number of threads ask at once; each gets the answer to its own request.
  * Whoever waits for an answer when the process dies gets ServerDied: the
    request may have been carried out or not.
  * What the process complains of is raised here, as the same class.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any

from holdfast.inventory import journal
from holdfast.inventory.store import Head
from holdfast.model import errors
from holdfast.model.changes import ChangeSet
from holdfast.testing.inventory_server import row_of

ANSWER_S = 60.0
"""A request that takes longer has hung: nothing in the tests does."""


class ServerDied(Exception):
    """The process is not there, or ended before it answered."""


class ServerProcess:
    """One server; ``arguments`` are those of the module, ``log`` a file for what it writes on standard error.

    No request takes longer than ``answer_s``: TimeoutError then.
    """

    def __init__(self, arguments: Sequence[str | Path], log: Path, *, answer_s: float = ANSWER_S) -> None:
        self._command = [sys.executable, "-m", "holdfast.testing.inventory_server", *map(str, arguments)]
        self._log = log
        self._answer_s = answer_s
        self._life: _Life | None = None
        self._changing = threading.Lock()

    def start(self) -> None:
        """Start it and wait until it answers; ServerDied, or its complaint, if it does not come so far."""
        with self._changing:
            assert not self.is_running, "it runs"
            if self._life is not None:
                self._life.kill()  # It died by itself; its pipes are still there.
            self._life = _Life(self._command, self._log)
        try:
            self._life.ready.result(self._answer_s)
        except BaseException:
            self.kill()  # It may still be on its way out.
            raise

    @property
    def is_running(self) -> bool:
        """Whether it is there."""
        return self._life is not None and self._life.is_running

    @property
    def pid(self) -> int:
        """The process."""
        assert self._life is not None
        return self._life.process.pid

    def call(self, do: str, **more: Any) -> dict[str, Any]:
        """The answer to one request."""
        life = self._life
        if life is None:
            raise ServerDied("it was never started")
        return life.ask({"do": do, **more}).result(self._answer_s)

    def commit(self, change_set: ChangeSet, *, then_die: bool = False) -> Head:
        """Have a change set committed, without requirements; ``then_die``: its answer is to be lost."""
        assert not change_set.requirements
        changes = json.loads(journal.encode(change_set))
        who = {"actor": change_set.actor, "cause": change_set.cause}
        answer = self.call("commit", changes=changes, then_die=then_die, **who)
        return Head(*answer["head"])

    def read(self, at_least: Head | int = 0, **more: Any) -> dict[str, Any]:
        """Ask for ``groups``, ``lookup``, ``datasets``, ``sums`` or ``digest``; the answer's ``head`` is a Head."""
        least = at_least if isinstance(at_least, int) else row_of(at_least)
        answer = self.call("read", at_least=least, **more)
        return answer | {"head": Head(*answer["head"])}

    def status(self) -> dict[str, Any]:
        """How its image stands to its store."""
        answer = self.call("status")
        return answer | {"head": Head(*answer["head"])}

    def kill(self) -> None:
        """kill -9; it is gone when this returns."""
        with self._changing:
            if self._life is not None:
                self._life.kill()

    def close(self) -> int:
        """End it in good order, or kill it if it does not end; its exit code."""
        with self._changing:
            return 0 if self._life is None else self._life.close()

    def __enter__(self) -> ServerProcess:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Life:
    """One process from its start to its end, and those who wait for its answers."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True
            )
        self.ready: Future[dict[str, Any]] = Future()
        self._mutex = threading.Lock()
        self._ids = itertools.count(1)
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._is_over = False
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def ask(self, request: Mapping[str, Any]) -> Future[dict[str, Any]]:
        answer: Future[dict[str, Any]] = Future()
        assert self.process.stdin is not None
        with self._mutex:
            if self._is_over:
                raise ServerDied("it is not there")
            number = next(self._ids)
            self._waiting[number] = answer
            try:
                self.process.stdin.write(json.dumps({"id": number, **request}).encode() + b"\n")
                self.process.stdin.flush()
            except OSError:
                del self._waiting[number]
                raise ServerDied("it is not there any more") from None
        return answer

    def kill(self) -> None:
        self.process.kill()
        self._end()

    def close(self) -> int:
        assert self.process.stdin is not None
        with self._mutex:
            self._is_over = True
            try:
                self.process.stdin.close()
            except OSError:
                pass  # It is gone already, with something for it still in the pipe.
        try:
            self.process.wait(ANSWER_S)
        finally:
            self.process.kill()
            self._end()
        return self.process.returncode

    def _end(self) -> None:
        self.process.wait()
        self._listener.join()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            try:
                stream.close()
            except OSError:
                pass  # As above.

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if not line.endswith(b"\n"):
                break  # It died while it wrote.
            answer = json.loads(line)
            number = answer.pop("id", None)
            with self._mutex:
                future = self.ready if number is None else self._waiting.pop(number)
            if "error" in answer:
                future.set_exception(_raised(answer["error"]))
            else:
                future.set_result(answer)
        self.process.wait()  # Who hears that it died may start it again.
        with self._mutex:
            self._is_over = True
            waiting, self._waiting = [*self._waiting.values(), self.ready], {}
        for future in waiting:
            if not future.done():
                future.set_exception(ServerDied("it died before it answered"))


def _raised(told: Mapping[str, str]) -> Exception:
    kind = getattr(errors, told["kind"], None)
    if kind is None:
        return RuntimeError(f"{told['kind']}: {told['message']}")
    error: Exception = kind(told["message"], place=told["place"], hint=told["hint"])
    return error

"""gfal_child: gfal2 in a process of its own, asked over its standard input.

Run as a program by whatever Python has gfal2's bindings, which is seldom the
one that runs Holdfast: it imports nothing of Holdfast, and nothing but gfal2
and the standard library. (gfal2 also brings a client library of XRootD that
must not meet another one in the same process.)

A frame is two lengths of four bytes, network order, then JSON of the first
length and bytes of the second. Requests are ``{"id", "op", ...}``; what they
are answered with has the same id and ``ok`` or ``errno`` and ``text``. Several
threads answer, in whatever order they are done.

    configure  options: [[group, name, value]], token
    list       url                        [[name, mode, size, mtime], ...]
    names      url                        [name, ...]
    stat       url                        [mode, size, mtime]
    checksum   url, algorithm             text
    rename     url, target                null
    unlink, rmdir    url                  null
    mkdir      url, mode                  null      (parents are made)
    open       handle, url, write         null
    read       handle, size               null, the bytes behind it
    write      handle, the bytes          null
    close      handle                     null; before its file was opened too

Rules
  * A name that is not UTF-8 is ``{"hex": ...}``: a listing is never less
    because of a name.
  * Whatever a request does, it is answered; errors of gfal2 by its number.
  * At the end of its standard input it ends at once, whatever is going on.
"""

import sys

# The folder of this file has modules by the names of others' modules.
sys.path.pop(0)

import json
import os
import queue
import struct
import threading
from typing import Any

import gfal2  # type: ignore[import-not-found]

THREADS = 8
LENGTHS = struct.Struct("!II")
BAD_REQUEST = -1
"""In place of an errno: not gfal2 but this program failed."""

Request = dict[str, Any]


class Answerer:
    """What the operations work on: one context, and the open files."""

    def __init__(self) -> None:
        self.context = gfal2.creat_context()
        self.token = ""
        self.files: dict[int, Any] = {}
        self.closed: set[int] = set()
        self.lock = threading.Lock()

    def answer(self, request: Request, data: bytes) -> tuple[Any, bytes]:
        """The result of an operation, and bytes."""
        result: tuple[Any, bytes] = getattr(self, "_do_" + request["op"])(request, data)
        return result

    def _do_configure(self, request: Request, _: bytes) -> tuple[Any, bytes]:
        setters = {
            bool: self.context.set_opt_boolean,
            int: self.context.set_opt_integer,
            str: self.context.set_opt_string,
        }
        for group, name, value in request["options"]:
            setters[type(value)](group, name, value)
        token = request["token"]
        if token != self.token:
            gfal2.cred_set(self.context, request["url"], gfal2.cred_new("BEARER", token))
            self.token = token
        return None, b""

    def _do_list(self, request: Request, _: bytes) -> tuple[Any, bytes]:
        directory = self.context.opendir(request["url"])
        found: list[Any] = []
        while True:
            entry, stat = directory.readpp()
            name = None if entry is None else name_of(entry)
            if not name:
                return found, b""
            found.append([name, stat.st_mode, stat.st_size, stat.st_mtime])

    def _do_names(self, request: Request, _: bytes) -> tuple[Any, bytes]:
        directory = self.context.opendir(request["url"])
        found: list[Any] = []
        while True:
            entry = directory.read()
            name = None if entry is None else name_of(entry)
            if not name:
                return found, b""
            found.append(name)

    def _do_stat(self, request: Request, _: bytes) -> tuple[Any, bytes]:
        stat = self.context.lstat(request["url"])
        return [stat.st_mode, stat.st_size, stat.st_mtime], b""

    def _do_checksum(self, request: Request, _: bytes) -> tuple[Any, bytes]:
        return self.context.checksum(request["url"], request["algorithm"]), b""

    def _do_rename(self, request: Request, _: bytes) -> tuple[Any, bytes]:
        self.context.rename(request["url"], request["target"])
        return None, b""

    def _do_unlink(self, request: Request, _: bytes) -> tuple[Any, bytes]:
        self.context.unlink(request["url"])
        return None, b""

    def _do_rmdir(self, request: Request, _: bytes) -> tuple[Any, bytes]:
        self.context.rmdir(request["url"])
        return None, b""

    def _do_mkdir(self, request: Request, _: bytes) -> tuple[Any, bytes]:
        self.context.mkdir_rec(request["url"], request["mode"])
        return None, b""

    def _do_open(self, request: Request, _: bytes) -> tuple[Any, bytes]:
        opened = self.context.open(request["url"], "w" if request["write"] else "r")
        with self.lock:
            if request["handle"] not in self.closed:
                self.files[request["handle"]] = opened
            self.closed.discard(request["handle"])
        return None, b""

    def _do_read(self, request: Request, _: bytes) -> tuple[Any, bytes]:
        file = self.files[request["handle"]]
        if hasattr(file, "read_bytes"):
            return None, file.read_bytes(request["size"])
        try:
            return None, file.read(request["size"]).encode()
        except UnicodeDecodeError as error:
            return None, error.object  # Older bindings know text only; here are the bytes that they got.

    def _do_write(self, request: Request, data: bytes) -> tuple[Any, bytes]:
        file = self.files[request["handle"]]
        while data:
            data = data[file.write(data) :]
        return None, b""

    def _do_close(self, request: Request, _: bytes) -> tuple[Any, bytes]:
        with self.lock:
            file = self.files.pop(request["handle"], None)
            if file is None and request["opening"]:
                self.closed.add(request["handle"])
        del file  # That closes it; there is no other way, and no error.
        return None, b""


def name_of(entry: Any) -> Any:
    """The name in an entry, or its bytes if they are no text."""
    try:
        return entry.d_name
    except UnicodeDecodeError as error:
        return {"hex": error.object.hex()}


def serve(requests: "queue.SimpleQueue[tuple[Request, bytes]]", answerer: Answerer, lock: threading.Lock) -> None:
    """Answer one request after the other."""
    while True:
        request, data = requests.get()
        answer: dict[str, Any] = {"id": request["id"]}
        payload = b""
        try:
            answer["ok"], payload = answerer.answer(request, data)
        except gfal2.GError as error:
            answer["errno"], answer["text"] = error.code, error.message
        except Exception as error:  # noqa: BLE001 - somebody waits for an answer.
            answer["errno"], answer["text"] = BAD_REQUEST, repr(error)
        head = json.dumps(answer).encode()
        with lock:
            # One write for small answers: half a frame helps nobody.
            sys.stdout.buffer.write(LENGTHS.pack(len(head), len(payload)) + head + payload)
            sys.stdout.buffer.flush()


def main() -> None:
    """Answer until standard input ends."""
    requests: queue.SimpleQueue[tuple[Request, bytes]] = queue.SimpleQueue()
    answerer, lock = Answerer(), threading.Lock()
    for _ in range(THREADS):
        threading.Thread(target=serve, args=(requests, answerer, lock), daemon=True).start()
    source = sys.stdin.buffer
    while lengths := source.read(LENGTHS.size):
        n_head, n_data = LENGTHS.unpack(lengths)
        requests.put((json.loads(source.read(n_head)), source.read(n_data)))
    # Threads in the library cannot be told to end.
    os._exit(0)


if __name__ == "__main__":
    main()

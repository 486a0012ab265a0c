"""What one command takes: CPU of it and its children, wall time, peak memory of the whole tree.

    python -S bench/process_usage.py COMMAND...      prints JSON

A process of its own, and a small one, because a child's peak memory counts what
its parent held when it was forked. The command's own output is thrown away.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

POLL_SECONDS = 0.02


def main(command: list[str]) -> None:
    """Run the command and print what it took."""
    started = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak_kb = [0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(POLL_SECONDS):
            peak_kb[0] = max(peak_kb[0], tree_kb(child.pid))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    _, status, usage = os.wait4(child.pid, 0)
    ended.set()
    watcher.join()
    taken = {
        "exit_code": os.waitstatus_to_exitcode(status),
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "wall_s": time.monotonic() - started,
        # The greatest single process is known exactly, the sum over a tree only as often as we looked.
        "peak_kb": max(peak_kb[0], usage.ru_maxrss),
    }
    print(json.dumps(taken))


def tree_kb(root: int) -> int:
    """Resident memory of a process and its descendants."""
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        try:
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                total += next((int(line.split()[1]) for line in file if line.startswith("VmRSS:")), 0)
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                waiting += map(int, file.read().split())
        except OSError:
            continue
    return total


def tree_cpu_s(root: int) -> float:
    """CPU seconds that a process and its descendants have taken, those that have ended included."""
    ticks, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                ticks += sum(map(int, file.read().rpartition(")")[2].split()[11:15]))
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                waiting += map(int, file.read().split())
        except OSError:
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main(sys.argv[1:])

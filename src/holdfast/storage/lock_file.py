"""Lock file: whether somebody holds one, looked at without taking it.

The system lets go of the lock when its holder ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def is_held(file: Path) -> bool | None:
    """Whether some process holds the lock of ``file``; None if it cannot be looked at.

    FileNotFoundError if there is no such file.
    """
    try:
        handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError:
        return None
    try:
        # Shared, and let go of at once: others who look do not see us.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(handle)
    return False

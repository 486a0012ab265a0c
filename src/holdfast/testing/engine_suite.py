"""EngineSuite: the rules of the TransferEngine contract, one test each.

Every engine has a test class that inherits from EngineSuite and gives it the
hooks of ``engine_hooks``. Files are put and got behind the drivers, so that
what an engine says can be held against what is there. Each test gets fresh,
empty storages.

    class TestMyEngine(EngineSuite):
        def make_engine(self): ...
        def make_source(self): ...
        def make_destination(self): ...
        def put_source(self, path, data): ...
        ...

Nobody overrides a test.
"""

from __future__ import annotations

import pytest

# Before they are imported: asserts in them then tell what was compared, like those in test files.
pytest.register_assert_rewrite(
    "holdfast.testing.engine_hooks",
    "holdfast.testing.engine_copy_rules",
    "holdfast.testing.engine_trouble_rules",
)

from holdfast.testing.engine_copy_rules import CopyRules  # noqa: E402
from holdfast.testing.engine_trouble_rules import TroubleRules  # noqa: E402


class EngineSuite(CopyRules, TroubleRules):
    """All rules. See the module's docstring for what a subclass has to give."""

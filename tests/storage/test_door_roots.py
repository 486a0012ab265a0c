"""Roots of doors before anything is asked: secrets are refused and not shown, shapes and protocols are checked."""

from __future__ import annotations

import pytest

from holdfast.model.errors import BadInput
from holdfast.storage.door_roots import check_root

GOOD = [
    ("posix", "/data/a@b"),
    ("davs", "davs://door.here:443/store/a:b@c"),
    ("xroot", "root://door.here:1094//store"),
    ("s3", "s3://bucket/store?endpoint=https://s3.here"),
    ("dump", "/data/dump?layout=rucio"),
]
SECRET = [
    ("https", "https://bob:s3cr3t@door.here/store"),
    ("https", "https://bob:s3/cr3t@door.here/store"),
    ("s3", "s3://AKIA:s3cr3t@bucket/store"),
    ("s3", "s3://bucket/store?secret_key=s3cr3t"),
    ("xroot", "root://door.here//store?authz=Bearer%20s3cr3t"),
    ("xroot", "root://door.here//store?x=1&AUTHZ=s3cr3t"),
    ("https", "https://door.here/store?token=s3cr3t"),
    ("https", "https://door.here/store?X-Amz-Signature=s3cr3t"),
    ("nonsense", "https://bob:s3cr3t@door.here/store"),
    ("posix", "file://bob:s3cr3t@here/store"),
]


@pytest.mark.parametrize(("protocol", "root"), GOOD)
def test_a_good_root_is_taken(protocol: str, root: str) -> None:
    check_root(protocol, root)


@pytest.mark.parametrize(("protocol", "root"), SECRET)
def test_a_root_with_a_secret_is_refused_without_showing_it(protocol: str, root: str) -> None:
    with pytest.raises(BadInput, match="password, a key or a token") as caught:
        check_root(protocol, root)
    assert "cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("protocol", "root"),
    [("davs", "/store"), ("s3", "https://bucket"), ("xroot", "door.here"), ("posix", "store"), ("dump", "dump")],
)
def test_a_root_of_another_shape_is_refused(protocol: str, root: str) -> None:
    with pytest.raises(BadInput):
        check_root(protocol, root)


def test_a_protocol_that_nobody_serves_is_refused() -> None:
    with pytest.raises(BadInput, match=r"'nonsense'.*davs"):
        check_root("nonsense", "/data")

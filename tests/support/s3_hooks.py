"""What the conformance suite needs of an object store: a bucket for each test, and another client behind the driver."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.doors import open_driver
from holdfast.storage.driver import StorageDriver
from holdfast.testing.driver_suite import DriverSuite


def write_keys(folder: Path, keys: tuple[str, str]) -> Path:
    """A file of keys as people have them."""
    file = folder / "credentials"
    file.write_text(f"[default]\naws_access_key_id = {keys[0]}\naws_secret_access_key = {keys[1]}\n")
    file.chmod(0o600)
    return file


def client_of(endpoint: str, keys: tuple[str, str]) -> Any:
    """Another client, that knows nothing of our driver."""
    # It has no types, and is imported only where it is used: it takes a second.
    boto3, config = import_module("boto3"), import_module("botocore.config")
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
        region_name="us-east-1",
        # No checksums unasked: not every store knows them.
        config=config.Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
    )


class S3Hooks(DriverSuite):
    """Hooks for a bucket at ``client``; a subclass makes that and says where keys and root are."""

    supports_links = False
    tells_nothing = "this store keeps a checksum only for who names its algorithm in a header of its own"
    prefix: ClassVar[str] = ""
    client: Any
    bucket: str
    root: str
    keys_file: Path

    def make_driver(self) -> StorageDriver:
        """A driver of the bucket."""
        return open_driver("s3", self.root, site="SITE", access=Access(AccessSettings(keys=self.keys_file)))

    def put(self, path: str, data: bytes) -> None:
        """Put an object."""
        self.client.put_object(Bucket=self.bucket, Key=f"{self.prefix}{path[1:]}", Body=data)

    def get(self, path: str) -> bytes | None:
        """Get an object."""
        try:
            got: bytes = self.client.get_object(Bucket=self.bucket, Key=f"{self.prefix}{path[1:]}")["Body"].read()
        except self.client.exceptions.NoSuchKey:
            return None
        return got

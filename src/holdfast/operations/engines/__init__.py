"""Engines: who moves the bytes. The contract is in ``holdfast.operations.engine``."""

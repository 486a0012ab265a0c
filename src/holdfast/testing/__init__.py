"""Conformance suites, in-memory implementations, strategies and the simulator.

Shipped for writers of plug-ins; nothing outside tests imports it.
"""

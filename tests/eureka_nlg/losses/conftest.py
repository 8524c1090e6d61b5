"""Every test of a loss runs on each way to compute it."""

from __future__ import annotations

import pytest

IMPLEMENTATIONS = ["reference", "fused"]


@pytest.fixture(scope="session", params=IMPLEMENTATIONS)
def impl(request: pytest.FixtureRequest) -> str:
    """Name of the implementation under test."""
    return str(request.param)


@pytest.fixture(scope="session", params=["reference", "auto"])
def autograd_impl(request: pytest.FixtureRequest) -> str:
    """Those that torch can transform; "auto" must avoid the fused one, whose gradient is its own."""
    return str(request.param)

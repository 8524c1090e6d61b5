"""Every test of a loss runs on each way to compute it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from eureka_nlg.losses.kernels import native


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Tensors here are small: several threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=["reference", "portable", "native"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Reference, or fused on torch's operations, or fused on the compiled passes."""
    name = str(request.param)
    if name == "native" and not native.is_available():
        pytest.skip("the passes in C were not compiled when the package was installed")
    if name == "portable":
        monkeypatch.setattr(native, "supports", lambda logits: False)
    return name


@pytest.fixture
def impl(way: str) -> str:
    """What to give a loss as ``impl``."""
    return "reference" if way == "reference" else "fused"


@pytest.fixture
def dtype(way: str) -> torch.dtype:
    """The most exact dtype that this way takes."""
    return torch.float32 if way == "native" else torch.float64


@pytest.fixture
def half(way: str) -> torch.dtype:
    """A half-precision dtype that this way takes."""
    return torch.float16 if way == "portable" else torch.bfloat16


@pytest.fixture(params=["reference", "auto"])
def autograd_impl(request: pytest.FixtureRequest) -> str:
    """Those that torch can transform; "auto" must avoid the fused one, whose gradient is its own."""
    return str(request.param)

"""What torch traces or transforms keeps the fused kernel, and refuses targets that are no class."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from loss_cases import assert_same, loss, random_logits, random_target
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from eureka_nlg.losses import EurekaLoss, FocalLoss, eureka_loss, focal_loss, linear_eureka_loss
from eureka_nlg.losses.kernels.operator import is_traced

N, C, H = 6, 5, 3
COUNTS = [90, 40, 9, 3, 1]
OPERATOR = "eureka_nlg.log_odds"

pytestmark = pytest.mark.filterwarnings("ignore")


class Model(nn.Module):
    """Logits and their loss."""

    def __init__(self, function: nn.Module) -> None:
        super().__init__()
        self.layer, self.loss = nn.Linear(H, C), function

    def forward(self, hidden: Tensor, target: Tensor) -> Tensor:
        return self.loss(self.layer(hidden), target)


def batch() -> tuple[Tensor, Tensor]:
    target = torch.randint(C, (N,))
    target[1] = -100
    return torch.randn(N, H), target


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The code of the graphs that ``backend`` was given, forward and backward."""
    torch.compiler.reset()
    return []


def keeping(graphs: list[str]) -> Callable[..., Any]:
    """A backend that runs a graph as it is, and keeps its code."""
    from torch._dynamo.backends.common import aot_autograd

    def keep(graph: torch.fx.GraphModule, _: Any) -> Any:
        graphs.append(graph.code)
        return graph.forward

    return aot_autograd(fw_compiler=keep)


@pytest.mark.parametrize("kind", [EurekaLoss.from_counts, FocalLoss], ids=["eureka", "focal"])
def test_a_compiled_model_keeps_the_kernel(kind: Any, graphs: list[str]) -> None:
    """In one graph, by default, in both directions."""
    model = Model(kind(COUNTS, likelihood_cap=0.9) if kind is not FocalLoss else FocalLoss())
    hidden, target = batch()
    compiled = torch.compile(model, fullgraph=True, backend=keeping(graphs))
    value, expected = compiled(hidden, target), model(hidden, target)
    torch.testing.assert_close(value, expected)
    weight = model.layer.weight
    gradients = [torch.autograd.grad(one, weight)[0] for one in (value, expected)]
    torch.testing.assert_close(*gradients)
    forward, backward = graphs
    assert OPERATOR in forward
    assert f"{OPERATOR}_backward" in backward
    assert not any("softmax" in graph or "logsumexp" in graph for graph in graphs)


def test_compiled_for_any_size_and_option() -> None:
    """``dynamic=True`` makes the numbers among the options symbols too."""
    loss_function = EurekaLoss(torch.rand(7), likelihood_cap=0.5, threshold=0.3, gamma=2.0)
    compiled = torch.compile(loss_function, fullgraph=True, backend="eager", dynamic=True)
    for num_rows in (3, 4):
        logits, target = torch.randn(num_rows, 7), torch.randint(7, (num_rows,))
        torch.testing.assert_close(compiled(logits, target), loss_function(logits, target))


def test_export_keeps_the_kernel() -> None:
    model = Model(EurekaLoss.from_counts(COUNTS))
    hidden, target = batch()
    program = torch.export.export(model, (hidden, target))
    assert OPERATOR in program.graph_module.code
    torch.testing.assert_close(program.module()(hidden, target), model(hidden, target))


@pytest.mark.parametrize("mode", ["real", "fake"])
def test_make_fx_keeps_the_kernel(mode: str) -> None:
    logits, target = random_logits((N, C), torch.float32), random_target((N, C), -100)
    call, plain = loss("EL conservative", C)
    graph = make_fx(call, tracing_mode=mode)(logits, target)
    assert OPERATOR in graph.code
    other = torch.where(target == -100, 1, -100)  # what was traced does not depend on these targets
    assert_same(graph(logits, other), plain(logits, other), logits)


def test_fake_tensors_have_shapes() -> None:
    with FakeTensorMode():
        logits = torch.empty(N, C, requires_grad=True, dtype=torch.bfloat16)
        target = torch.empty(N, dtype=torch.int64)
        for reduction, shape in (("none", (N,)), ("mean", ())):
            value = eureka_loss(logits, target, reduction=reduction, label_smoothing=0.1)
            assert value.shape == shape
            assert value.dtype == torch.bfloat16
            (gradient,) = torch.autograd.grad(value.sum(), logits)
            assert gradient.shape == logits.shape
            assert gradient.dtype == logits.dtype


def test_one_tensor_without_values_is_enough() -> None:
    real = torch.zeros(1)
    with FakeTensorMode():
        fake = torch.zeros(1)
    assert is_traced(fake)
    assert is_traced(real, None, fake)
    assert not is_traced(real, None)
    assert not is_traced()


def test_torch_jit_trace_sees_later_batches() -> None:
    logits, target = torch.randn(N, C), torch.randint(C, (N,))
    traced = torch.jit.trace(lambda *batch: focal_loss(*batch), (logits, target))
    other = torch.tensor([-100, 2, -100, 0, 1, 4])
    torch.testing.assert_close(traced(logits, other), focal_loss(logits, other))


def test_modules_are_copied_and_pickled() -> None:
    logits, target = torch.randn(N, C), torch.randint(C, (N,))
    for module in (EurekaLoss.from_counts(COUNTS, likelihood_cap=0.9), FocalLoss(weight=torch.rand(C))):
        expected = module(logits, target)  # what a first call may keep must not be in the way
        stream = io.BytesIO()
        torch.save(module, stream)
        stream.seek(0)
        for other in (
            copy.deepcopy(module),
            pickle.loads(pickle.dumps(module)),
            torch.load(stream, weights_only=False),
        ):
            assert other(logits, target).equal(expected)


# -- targets that are no class -------------------------------------------------------------------------------

LINEAR_WEIGHT = torch.randn(C, C)
CALLS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "eureka": lambda logits, target: eureka_loss(logits, target, likelihood_cap=0.9),
    "eureka, weights": lambda logits, target: eureka_loss(logits, target, torch.ones(C)),
    "focal": lambda logits, target: focal_loss(logits, target),
    "reference": lambda logits, target: focal_loss(logits, target, impl="reference"),
    "layer and loss": lambda hidden, target: linear_eureka_loss(hidden, LINEAR_WEIGHT, target),
}
OUTSIDE = r"out of bounds|out of range"
WRONG = {
    "one too many": torch.tensor([1, 2, 3, 4, 5, 5]),
    "wild": torch.tensor([1, 2, 10**9, 4, 0, 0]),
    "negative": torch.tensor([0, 1, -1, 2, 3, 4]),
}


@pytest.mark.parametrize("name", CALLS)
def test_wrong_targets_are_refused_when_compiled(name: str) -> None:
    torch.compiler.reset()
    hidden = torch.randn(N, C, requires_grad=True)
    compiled = torch.compile(CALLS[name], fullgraph=True, backend="aot_eager")
    for target in WRONG.values():
        with pytest.raises((IndexError, RuntimeError), match=OUTSIDE):
            compiled(hidden, target)
    target = torch.tensor([1, 2, -100, 4, 0, 0])
    torch.testing.assert_close(compiled(hidden, target), CALLS[name](hidden, target))


@pytest.mark.parametrize("target", WRONG.values(), ids=WRONG.keys())
def test_wrong_targets_are_refused_when_transformed(target: Tensor) -> None:
    logits = torch.randn(N, C)
    for call in (F.cross_entropy, eureka_loss, focal_loss):
        with pytest.raises((IndexError, RuntimeError), match=OUTSIDE):
            torch.func.grad(call)(logits, target)
        with pytest.raises((IndexError, RuntimeError), match=OUTSIDE):
            torch.func.vmap(call)(logits.unsqueeze(1), target.unsqueeze(1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("with_uniform", [False, True])
@pytest.mark.parametrize("with_weight", [False, True])
def test_operators_are_what_torch_expects(dtype: torch.dtype, with_uniform: bool, with_weight: bool) -> None:
    """Their fake results have the shapes and dtypes of the real ones, and arguments are not changed."""
    operators, check = torch.ops.eureka_nlg, torch.library.opcheck
    tests = ("test_schema", "test_faketensor", "test_autograd_registration")
    hidden, target = batch()
    hidden, layer_weight = hidden.to(dtype), torch.randn(C, H).to(dtype)
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    weight = torch.rand(C, dtype=exact) if with_weight else None
    logits = torch.randn(N, C).to(dtype).requires_grad_()
    check(operators.log_odds.default, (logits, target, -100, weight, with_uniform), test_utils=tests)
    found = [part.detach() for part in operators.log_odds(logits, target, -100, weight, with_uniform)]
    slopes = torch.rand(N, dtype=exact), torch.rand(N, dtype=exact) if with_uniform else None
    arguments = (logits.detach(), target, -100, weight, found[0], *found[2:], *slopes)
    check(operators.log_odds_backward.default, arguments, test_utils=tests[:2])
    for bias in (None, torch.randn(C).to(dtype)):
        layer = hidden.detach().requires_grad_(), layer_weight, bias
        arguments = (*layer, target, -100, weight, with_uniform)
        check(operators.linear_log_odds.default, arguments, test_utils=tests)
        for needed in ([True, True, True], [False, True, False], [True, False, True], [False] * 3):
            arguments = (hidden, layer_weight, bias, target, -100, weight, *slopes, needed)
            check(operators.linear_log_odds_backward.default, arguments, test_utils=tests[:2])


def test_ignored_rows_of_a_single_class() -> None:
    target = torch.tensor([0, -100, 0])
    hidden, layer_weight = torch.randn(3, H, requires_grad=True), torch.randn(1, H)
    for found in (
        torch.ops.eureka_nlg.linear_log_odds(hidden, layer_weight, None, target, -100, None, False),
        torch.ops.eureka_nlg.log_odds(hidden @ layer_weight.t(), target, -100, None, False),
    ):
        assert found[0][[0, 2]].tolist() == [torch.inf] * 2
        assert found[0][1].isnan()


@pytest.mark.parametrize("dtypes", [(torch.float32, torch.bfloat16), (torch.bfloat16, torch.float32)])
def test_an_operator_multiplies_in_its_own_precision_under_autocast(
    dtypes: tuple[torch.dtype, torch.dtype],
) -> None:
    """Whoever traces it has chosen the dtypes already."""
    operators = torch.ops.eureka_nlg
    hidden, layer_weight = torch.randn(40, 64).to(dtypes[0]), torch.randn(C, 64).to(dtypes[1])
    target, slopes = torch.randint(C, (40,)), torch.rand(40)
    layer = (hidden, layer_weight, None, target, -100, None)
    outside = operators.linear_log_odds(*layer, False)
    gradients = operators.linear_log_odds_backward(*layer, slopes, None, [True, True, False])
    with torch.autocast("cpu", torch.bfloat16):
        assert operators.linear_log_odds(*layer, False)[0].equal(outside[0])
        inside = operators.linear_log_odds_backward(*layer, slopes, None, [True, True, False])
    assert all(one.equal(other) for one, other in zip(inside, gradients))
    exact = hidden.double().requires_grad_(), layer_weight.double().requires_grad_()
    logits = exact[0] @ exact[1].t()
    of_target = logits.gather(1, target[:, None])[:, 0]
    others = logits.masked_fill(F.one_hot(target, C).bool(), -torch.inf).logsumexp(1)
    expected = torch.autograd.grad(((of_target - others) * slopes).sum(), exact)
    if dtypes[0] == torch.float32:  # products in float32, then rounded once
        for one, other, dtype in zip(gradients, expected, dtypes):
            rounding = 0.51 * torch.finfo(dtype).eps if dtype == torch.bfloat16 else 1e-4
            torch.testing.assert_close(one.double(), other, rtol=rounding, atol=1e-5)

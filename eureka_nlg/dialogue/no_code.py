"""fairseq without ``eval``, and its checkpoints without pickled code.

fairseq evaluates some of its options as Python: every "BOOL" (``share_decoder_input_output_embed``), lists of
numbers (``adam_betas``), the layers of its convolutional models. Such an option may come from a checkpoint or
a YAML file that somebody else wrote. Here it is parsed and never run: anything but a number, truth value,
text, or list or dictionary of these is refused.
"""

from __future__ import annotations

import ast
import operator
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from eureka_nlg.errors import UserError

__all__ = ["check_options", "forbid_code", "loadable", "no_code", "parse_value"]

_OPENS_LOADS = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
# options that fairseq's dialogue models and optimisers evaluate; of others the value alone can be named
_EVALUATED = {
    *("adam_betas", "adamax_betas", "lamb_betas", "adafactor_eps", "wer_args", "character_filters"),
    *("encoder_layers", "decoder_layers", "encoder_attention", "decoder_attention", "self_attention"),
    *("share_input_embeddings", "encoder_residual", "input_feeding", "adaptive_softmax_cutoff", "pretrained"),
    *("project_input", "gated_attention", "downsample", "conv_feature_layers", "encoder_bidirectional"),
    *("conv_aggregator_layers", "adaptive_input_cutoff", "left_pad_source", "left_pad_target"),
    *("xformers_att_config", "encoder_xformers_att_config", "decoder_xformers_att_config"),
}
_NAMES = {"true": True, "false": False, "none": None}
_LONGEST = 2000  # characters; the layers of fairseq's largest convolutional model take 120
_MOST_ITEMS = 10_000
_OPERATORS: dict[type[ast.operator], Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}


def parse_value(text: str, *_: Any) -> Any:
    """The value of a text that holds no code, as ``eval`` would give it.

    Numbers, quoted texts, true, false and none in any case, lists, tuples and dictionaries of these, and sums
    and products such as ``[(512, 3)] * 20``.

    >>> parse_value("0.9, 0.98"), parse_value("True"), parse_value("[(8, 3)] * 2")
    ((0.9, 0.98), True, [(8, 3), (8, 3)])

    Raises:
        TypeError: not a text. ``eval`` raises this too, and fairseq relies on it.
        UserError: anything else.
    """
    if not isinstance(text, str):
        raise TypeError(f"expected a text, got {type(text).__name__}")
    shown = text if len(text) <= 80 else f"{text[:80]}..."
    refusal = UserError(
        f"option value {shown!r}: expected true or false, a number, or a list of these; code is not evaluated"
    )
    if len(text) > _LONGEST:
        raise refusal
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of text that is nearly Python
            return _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError, OverflowError) as error:
        raise refusal from error


def check_options(options: Mapping[str, Any], where: str) -> None:
    """Refuse options that fairseq would evaluate and that are not just values, by name.

    Args:
        options: name -> value.
        where: what a message writes before the name.

    Raises:
        UserError: the first one.
    """
    for name in sorted(_EVALUATED & options.keys()):
        if isinstance(options[name], str):
            try:
                parse_value(options[name])
            except UserError as error:
                raise UserError(
                    f"{where}{name.replace('_', '-') if where == '--' else name}: {error}"
                ) from error


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float, str, type(None))):
        return node.value
    if isinstance(node, ast.Name) and node.id.lower() in _NAMES:
        return _NAMES[node.id.lower()]
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(key): _value(item) for key, item in zip(node.keys, node.values) if key is not None}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        number = _value(node.operand)
        return -number if isinstance(node.op, ast.USub) else +number
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Mult):
            _check_size(left, right)
        return _OPERATORS[type(node.op)](left, right)
    raise ValueError(f"no value: {type(node).__name__}")


def _check_size(left: Any, right: Any) -> None:
    """Refuse a product that would not fit into memory."""
    for items, times in ((left, right), (right, left)):
        if (
            isinstance(items, (list, tuple, str))
            and isinstance(times, int)
            and len(items) * times > _MOST_ITEMS
        ):
            raise ValueError("too long")


def forbid_code() -> None:
    """Let fairseq's loaded modules use :func:`parse_value` for ``eval``, and load weights only."""
    os.environ.pop(_OPENS_LOADS, None)
    for module in _modules():
        vars(module)["eval"] = parse_value


@contextmanager
def loadable(*classes: Any) -> Iterator[None]:
    """While the block runs, weights-only loads also accept these classes.

    At its end, ``torch.serialization.safe_globals`` would forbid them even if they were allowed before, by
    the plug-in or by an enclosing block.
    """
    import torch

    before = torch.serialization.get_safe_globals()
    with torch.serialization.safe_globals([one for one in classes if one not in before]):
        yield


@contextmanager
def no_code() -> Iterator[None]:
    """:func:`forbid_code` while the block runs; checkpoints may hold an ``argparse.Namespace``.

    fairseq must have been imported before, as only loaded modules are changed.
    """
    import argparse

    opened = os.environ.get(_OPENS_LOADS)
    before = {id(module): vars(module).get("eval") for module in _modules()}
    try:
        forbid_code()
        with loadable(argparse.Namespace):
            yield
    finally:
        for module in _modules():
            if before.get(id(module)) is None:
                vars(module).pop("eval", None)
        if opened is not None:
            os.environ[_OPENS_LOADS] = opened


def _modules() -> list[Any]:
    """The loaded modules of fairseq and its plug-ins. A name in a module hides the built-in one."""
    return [
        module
        for name, module in list(sys.modules.items())
        if module is not None and name.partition(".")[0] in ("fairseq", "fairseq_cli", "fairseq_plugins")
    ]

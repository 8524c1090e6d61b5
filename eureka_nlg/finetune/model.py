"""Load a Hugging Face model and its tokenizer without running any code that is in their folder."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from eureka_nlg.errors import UserError, require
from eureka_nlg.finetune.conversations import PLAIN_TEMPLATE, ids_of
from eureka_nlg.finetune.run_folder import FinetuneFolder

__all__ = ["LoadedModel", "load_folder", "load_pretrained"]

_MOST_TOKENS = 2048  # in a context, for a model without a limit of its own


@dataclass(frozen=True)
class LoadedModel:
    """A model and its tokenizer.

    Attributes:
        model: in float32, in eval mode.
        tokenizer: with a chat template and a padding token.
        max_length: tokens of a conversation at most.
        num_positions: number of positions that the model has; None where there is no limit.
    """

    model: Any
    tokenizer: Any
    max_length: int
    num_positions: int | None

    @property
    def is_encoder_decoder(self) -> bool:
        return bool(self.model.config.is_encoder_decoder)

    def longest_prompt(self, room: int) -> int:
        """The number of tokens that a model can read so that it has room for so many more."""
        if self.num_positions is None or self.is_encoder_decoder:
            return self.max_length
        return max(1, min(self.max_length, self.num_positions - room))


def load_pretrained(name: str, gguf_file: str | None = None, **kwargs: Any) -> tuple[Any, Any]:
    """Load model and tokenizer by name or folder; code in the folder is not run.

    Args:
        name: name on the hub, or a folder.
        gguf_file: name of the GGUF file in the folder that holds the model; None for any other format.
        **kwargs: for the model's ``from_pretrained``.

    Raises:
        UserError: transformers cannot load it.
    """
    transformers = require("transformers", extra="transformers")
    extra: dict[str, Any] = {"trust_remote_code": False}
    if gguf_file is not None:
        gguf: Any = require("gguf", extra="transformers")
        if not hasattr(gguf, "__version__"):
            # on Python 3.10 transformers finds no version of it elsewhere, and fails
            gguf.__version__ = importlib.metadata.version("gguf")
        extra["gguf_file"] = gguf_file
    with _named_errors(name):
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, **extra)
        config = transformers.AutoConfig.from_pretrained(name, **extra)
        if gguf_file is not None and hasattr(transformers, "GgufConfig"):
            # from 5.24 on, transformers calls the model quantised otherwise, and the Trainer refuses it
            extra["quantization_config"] = transformers.GgufConfig(dequantize=True)
        kind = "AutoModelForSeq2SeqLM" if config.is_encoder_decoder else "AutoModelForCausalLM"
        model = getattr(transformers, kind).from_pretrained(name, dtype=torch.float32, **extra, **kwargs)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.chat_template is None:
        tokenizer.chat_template = PLAIN_TEMPLATE
    return model, tokenizer


def load_folder(found: FinetuneFolder, cpu: bool = False) -> LoadedModel:
    """Load a trained model for use, weights only.

    Args:
        found: its folder.
        cpu: run on the CPU even if there is a GPU.

    Raises:
        UserError: transformers or peft cannot load it.
    """
    transformers = require("transformers", extra="transformers")
    with _silent(transformers):
        if found.is_adapter:
            peft = require("peft", extra="transformers")
            model, tokenizer = load_pretrained(found.base, found.option("gguf_file"))
            with _named_errors(str(found.folder)):
                adapted = peft.PeftModel.from_pretrained(model, str(found.folder), use_safetensors=True)
                model = adapted.merge_and_unload()
        else:
            model, tokenizer = load_pretrained(str(found.folder), use_safetensors=True)
    # The caller decides how to decode; of the folder's own settings only the special tokens are used.
    own = model.generation_config.to_dict()
    tokens = {name: value for name, value in own.items() if name.endswith("_token_id") and value is not None}
    tokens.setdefault("eos_token_id", tokenizer.eos_token_id)
    tokens["eos_token_id"] = _ends(tokens["eos_token_id"], tokenizer)
    model.generation_config = transformers.GenerationConfig(
        **{**tokens, "pad_token_id": tokenizer.pad_token_id}
    )
    device = "cuda" if torch.cuda.is_available() and not cpu else "cpu"
    positions = getattr(model.config, "max_position_embeddings", None)
    max_length = min(int(found.option("max_length", _MOST_TOKENS)), positions or _MOST_TOKENS)
    return LoadedModel(model.float().eval().to(device), tokenizer, max_length, positions)


def _ends(known: Any, tokenizer: Any) -> Any:
    """The tokens that end a reply: those of the model, and what the chat template writes after one.

    In templates such as ChatML that is a special token other than the tokenizer's end.
    """
    if tokenizer.chat_template is None:
        return known
    asked = [{"role": "user", "content": "a"}]
    try:
        before = ids_of(tokenizer, asked, True)
        whole = ids_of(tokenizer, [*asked, {"role": "assistant", "content": "b"}], False)
    except Exception:  # of the template, which is asked again for each reply
        return known
    added = tokenizer.added_tokens_decoder.items()
    special = {number for number, token in added if token.special} - {tokenizer.unk_token_id}
    end = next((number for number in whole[len(before) :] if number in special), None)
    ends = [known] if isinstance(known, int) else list(known or ())
    return known if end is None or end in ends else [*ends, end]


@contextmanager
def _named_errors(name: str) -> Iterator[None]:
    safetensors = require("safetensors", extra="transformers")
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(
            f"transformers cannot import this model ({error}); where torchaudio is installed that may "
            "be why: pip uninstall -y torchaudio"
        ) from error
    except UserError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, safetensors.SafetensorError) as error:
        raise UserError(f"model {name}: {error}") from error


@contextmanager
def _silent(transformers: Any) -> Iterator[None]:
    """Show no progress bars and advice while a model is loaded."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()

"""The options of searching or sampling replies, for both kinds of models."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from eureka_nlg.errors import UserError

__all__ = ["Decoding"]


def _option(default: Any, help: str, **metadata: Any) -> Any:
    return field(default=default, metadata={"help": help, **metadata})


@dataclass(frozen=True)
class Decoding:
    """Options of decoding; their metadata has the names that fairseq-generate gives them.

    Raises:
        UserError: an invalid value, or options that do not go together.
    """

    beam: int = _option(5, "beam size; 1 decodes greedily", fairseq="--beam", within=(1, 100))
    nbest: int = _option(1, "replies to each context, the best first", fairseq="--nbest", within=(1, 100))
    sampling: bool = _option(False, "sample words instead of searching")
    top_k: int | None = _option(
        None, "sample among this many most probable words", fairseq="--sampling-topk", within=(1, None)
    )
    top_p: float | None = _option(
        None,
        "sample among the most probable words that together have this probability",
        fairseq="--sampling-topp",
        within=(1e-6, 1),
    )
    temperature: float = _option(
        1.0,
        "above 1 flattens, below 1 sharpens the distribution of the words",
        fairseq="--temperature",
        within=(0.01, 100),
    )
    length_penalty: float = _option(
        1.0,
        "below 1 favours short replies, above 1 long ones",
        fairseq="--lenpen",
        within=(-10, 10),
    )
    no_repeat_ngram_size: int = _option(
        0,
        "repeat no n-gram of this size within a reply; 0 allows all",
        fairseq="--no-repeat-ngram-size",
        within=(0, 100),
    )
    min_length: int = _option(1, "shortest reply, in tokens", fairseq="--min-len", within=(0, 1000))
    max_length: int = _option(200, "longest reply, in tokens", fairseq="--max-len-b", within=(1, 1000))
    seed: int | None = _option(None, "seed of the sampling", fairseq="--seed", within=(0, 2**31))

    def __post_init__(self) -> None:
        for option in fields(self):
            value, (least, most) = getattr(self, option.name), option.metadata.get("within", (None, None))
            if value is None and option.default is None:
                continue
            if isinstance(option.default, bool):
                if not isinstance(value, bool):
                    raise UserError(f"{option.name} {value!r}: expected true or false")
                continue
            wanted = f"expected a number from {least} " + ("on" if most is None else f"to {most}")
            is_number = type(value) is int or ("float" in str(option.type) and isinstance(value, float))
            if not is_number or not (least <= value and (most is None or value <= most)):
                raise UserError(f"{option.name} {value!r}: {wanted}")
        if not self.sampling and (self.top_k is not None or self.top_p is not None):
            name = "top_k" if self.top_k is not None else "top_p"
            raise UserError(f"{name}: is for sampling; give sampling too")

    @property
    def _width(self) -> int:
        """Beam size, which must not be below the number of replies."""
        return max(self.beam, self.nbest)

    def fairseq_options(self) -> list[str]:
        """Options of fairseq-generate."""
        # fairseq samples as many replies as the beam is wide
        values = {"beam": self.nbest if self.sampling else self._width}
        options = ["--sampling"] if self.sampling else []
        for option in fields(self):
            value = values.get(option.name, getattr(self, option.name))
            if "fairseq" in option.metadata and value is not None:
                options += [option.metadata["fairseq"], str(value)]
        return options

    def transformers_options(self) -> dict[str, Any]:
        """Arguments of ``generate`` of transformers.

        Raises:
            UserError: a temperature without sampling, which has no effect there.
        """
        if not self.sampling and self.temperature != 1:
            raise UserError(f"temperature {self.temperature}: is for sampling; give sampling too")
        options: dict[str, Any] = {
            "do_sample": self.sampling,
            "num_beams": 1 if self.sampling else self._width,
            "num_return_sequences": self.nbest,
            "no_repeat_ngram_size": self.no_repeat_ngram_size,
            "min_new_tokens": self.min_length,
            "max_new_tokens": self.max_length,
        }
        if self.sampling:
            options |= {"temperature": self.temperature, "top_k": self.top_k or 0, "top_p": self.top_p or 1.0}
        elif self._width > 1:
            options |= {"length_penalty": self.length_penalty, "early_stopping": False}
        return options

"""A part of a folder of conversations: some to train on, some to validate on, and so many test contexts.

    python scripts/smollm2/sample.py data-bin/messages data-bin/messages_512

Conversations are drawn with the seed 1. The last of the test split may be cut, so that the split has exactly
``--contexts`` messages of the assistant.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path

from eureka_nlg.finetune.conversations import Messages, read_messages


def main() -> None:
    """Write the three splits."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="folder of `eureka prepare --format-out messages`")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--train", type=int, default=512, help="number of training conversations")
    parser.add_argument("--valid", type=int, default=64, help="number of conversations to validate on")
    parser.add_argument("--contexts", type=int, default=1000, help="number of test contexts")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for split in ("train", "valid", "test"):
        found = list(read_messages(args.source, split))
        number = len(found) if split == "test" else min(getattr(args, split), len(found))
        drawn = random.Random(1).sample(found, number)
        kept = list(up_to(drawn, args.contexts)) if split == "test" else drawn
        lines = [json.dumps({"messages": messages}, ensure_ascii=False) for messages in kept]
        (args.out / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{split}: {len(kept)} conversations, {sum(map(replies, kept))} messages of the assistant")


def up_to(conversations: list[Messages], contexts: int) -> Iterator[Messages]:
    """The first conversations, with so many messages of the assistant in all."""
    for messages in conversations:
        while replies(messages) > contexts:
            messages = messages[:-1]
        if not contexts:
            return
        contexts -= replies(messages)
        yield messages


def replies(messages: Messages) -> int:
    """The number of messages of the assistant."""
    return sum(message["role"] == "assistant" for message in messages)


if __name__ == "__main__":
    main()

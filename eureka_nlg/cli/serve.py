"""A web page on this machine where one or more trained models answer side by side.

    eureka serve runs/sample/ce runs/sample/el
    eureka serve runs/finetuned --port 9000 --persona persona.txt

Only this machine can open the page. To open it from another one, run ssh -L 8765:127.0.0.1:8765 MACHINE there
and open http://127.0.0.1:8765. The server writes nothing to disk; Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys

from eureka_nlg.cli.arguments import add_run_arguments
from eureka_nlg.cli.decoding import add_decoding_arguments, add_logit_adjustment, decoding_of
from eureka_nlg.errors import UserError, require
from eureka_nlg.text_files import TextFile

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    from eureka_nlg.chat.session import DEFAULTS

    add_run_arguments(parser, "folder of a training run, of a fine-tuning or of a model, or a checkpoint")
    parser.add_argument(
        "--port",
        type=int,
        default=8765,
        metavar="N",
        help="port of the page; 0 takes any free one (default: %(default)s)",
    )
    parser.add_argument(
        "--persona", metavar="FILE", help="sentences about who the models are, one per line, to begin with"
    )
    parser.add_argument("--cpu", action="store_true", help="run on the CPU even if there is a GPU")
    add_logit_adjustment(parser)
    add_decoding_arguments(parser.add_argument_group("decoding, as the page has it at first"), **DEFAULTS)


def run(args: argparse.Namespace) -> int:
    """Load the models and serve until interrupted."""
    from eureka_nlg.chat.models import load_models
    from eureka_nlg.chat.server import HOSTS, make_app

    uvicorn = require("uvicorn", extra="serve")
    require("starlette", extra="serve")  # before the models are loaded, not after
    decoding = decoding_of(args)
    persona = [] if args.persona is None else list(TextFile(args.persona, holds="one sentence"))

    def tell(line: str) -> None:
        print(f"eureka serve: {line}", file=sys.stderr)

    with _listening(HOSTS[0], args.port) as listening:
        models = load_models(args.runs, args.names, args.data, args.cpu, tell, args.logit_adjustment)
        app = make_app(models, persona, decoding)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_level="warning",
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=30,
                limit_concurrency=64,
                h11_max_incomplete_event_size=16 * 1024,
                http="h11",
                ws="none",
                lifespan="off",
            )
        )
        names = ", ".join(model.name for model in models)
        print(f"{names}: http://{HOSTS[0]}:{listening.getsockname()[1]} (Ctrl-C ends it)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn has ended in good order, and passes it on
            server.run(sockets=[listening])
    return 0


def _listening(host: str, port: int) -> socket.socket:
    """A socket that nobody else has, before the models are loaded."""
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen()  # a browser that comes before the server is ready waits
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"--port {port}: {reason}; give another port, or 0 for any free one") from error
    return listening

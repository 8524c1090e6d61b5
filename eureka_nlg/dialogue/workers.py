"""Whether processes beside this one can be used here."""

from __future__ import annotations

import multiprocessing

from eureka_nlg.errors import UserError

__all__ = ["check_shared_memory"]


def check_shared_memory(option: str, without: str) -> None:
    """Notice that there is no shared memory before the first process is started.

    Args:
        option: that asks for processes.
        without: its value that asks for none.

    Raises:
        UserError: locks between processes cannot be made, as where there is no /dev/shm.
    """
    try:
        multiprocessing.get_context().Lock()
    except OSError as error:
        raise UserError(
            f"{option}: processes need shared memory, and /dev/shm cannot be used here ({error.strerror}): "
            f"give {without}"
        ) from error

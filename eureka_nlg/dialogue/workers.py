"""Check that further processes can be used on this system."""

from __future__ import annotations

import multiprocessing

from eureka_nlg.errors import UserError

__all__ = ["check_shared_memory"]


def check_shared_memory(option: str, without: str) -> None:
    """Refuse to start processes on a system without shared memory.

    Args:
        option: the option that asks for processes, with its value.
        without: the option with the value that asks for none.

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

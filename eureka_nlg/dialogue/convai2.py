"""Download the official ConvAI2 archive once, check it, and extract the files that are needed."""

from __future__ import annotations

import shutil
import sys
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

from eureka_nlg.errors import UserError, require
from eureka_nlg.files import new_folder, sha256

__all__ = ["fetch_convai2"]

ARCHIVE_URL = "http://parl.ai/downloads/convai2/convai2_fix_723.tgz"
ARCHIVE_SHA256 = "d0ae89defe2fd0b0a4221eaa642a457d7d40cef475f54798119c7f3b8dd9361d"
# The official test set is hidden.
MEMBERS = {"train": "train_self_original_no_cands.txt", "valid": "valid_self_original_no_cands.txt"}


def fetch_convai2(
    cache_dir: Path | None = None, url: str = ARCHIVE_URL, archive_sha256: str = ARCHIVE_SHA256
) -> dict[str, Path]:
    """The training and validation file of ConvAI2, downloaded at the first call.

    Args:
        cache_dir: where the archive and its files are kept; None for the platform's cache folder.
        url: where the archive is; its last part is the name of the file in ``cache_dir``.
        archive_sha256: SHA-256 of the archive, which is checked even if the file was put there by hand.

    Returns:
        Split -> file in ParlAI text format.

    Raises:
        UserError: no network, a wrong hash, or an archive that lacks these files or holds unsafe ones.
    """
    pooch = require("pooch", extra="data")
    cache = Path(cache_dir) if cache_dir is not None else Path(pooch.os_cache("eureka-nlg"))
    archive = cache / url.rpartition("/")[2]
    if not archive.exists():
        _download(pooch, url, archive, archive_sha256)
    elif (found := sha256(archive)) != archive_sha256:
        raise UserError(
            f"{archive}: the SHA-256 is {found}; expected {archive_sha256}; remove the file and run again"
        )
    folder = cache / archive_sha256[:16]
    files = {split: folder / name for split, name in MEMBERS.items()}
    if not all(file.exists() for file in files.values()):
        _extract(archive, folder)
    return files


def _download(pooch: Any, url: str, archive: Path, archive_sha256: str) -> None:
    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(
            url,
            known_hash=f"sha256:{archive_sha256}",
            fname=archive.name,
            path=archive.parent,
            progressbar=sys.stderr.isatty(),
        )
    except ValueError as error:  # pooch has removed what it fetched
        raise UserError(
            f"{url}: the downloaded file does not have the SHA-256 {archive_sha256}; it was not kept"
        ) from error
    except OSError as error:  # the errors of requests are OSErrors
        raise UserError(
            f"{url}: cannot be downloaded ({type(error).__name__}); download it elsewhere and put it at "
            f"{archive}"
        ) from error


def _extract(archive: Path, folder: Path) -> None:
    """Copy the needed members into ``folder``, under their own plain names."""
    wanted = set(MEMBERS.values())
    try:
        with new_folder(folder, overwrite=True) as building, tarfile.open(archive) as tar:
            for member in tar:
                name = PurePosixPath(member.name).name
                if name not in wanted:
                    continue
                # refuses links, devices and paths that lead outside
                tarfile.data_filter(member, str(building))
                content = tar.extractfile(member)
                if content is None:
                    raise UserError(f"{archive}: {member.name} is no regular file")
                with content, open(building / name, "wb") as file:
                    shutil.copyfileobj(content, file)
                wanted.remove(name)
            if wanted:
                raise UserError(f"{archive}: the archive has no {', '.join(sorted(wanted))}")
    except tarfile.TarError as error:
        raise UserError(f"{archive}: not unpacked: {error}") from error

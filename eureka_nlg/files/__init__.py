"""Files and folders: output that is either complete or absent, checks of its place, and reading of input."""

from eureka_nlg.files.folders import alone, exclusive, files_of, new_folder, remove_made
from eureka_nlg.files.partial import full_disk, named_errors, sync
from eureka_nlg.files.place import Kind, output_file
from eureka_nlg.files.reading import read_json, sha256, sha256_of
from eureka_nlg.files.writing import write_json, write_lines, write_text, write_whole

__all__ = [
    "Kind",
    "alone",
    "exclusive",
    "files_of",
    "full_disk",
    "named_errors",
    "new_folder",
    "output_file",
    "read_json",
    "remove_made",
    "sha256",
    "sha256_of",
    "sync",
    "write_json",
    "write_lines",
    "write_text",
    "write_whole",
]

#!/bin/sh
# Install the locked environment and this package: install.sh PYTHON VENV. Called by make.
set -eu
python=$1
venv=$2

missing() {
    echo "install: $*" >&2
    exit 1
}

command -v "$python" >/dev/null 2>&1 ||
    missing "no $python here: install Python 3.10 to 3.13, or name one: make install PYTHON=/path/to/python3"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
    missing "$python does not run: install Python 3.10 to 3.13, or name one: make install PYTHON=/path/to/python3"
case $version in
    3.10 | 3.11 | 3.12 | 3.13) ;;
    *) missing "$python is Python $version; needed is 3.10 to 3.13: make install PYTHON=/path/to/python3.12" ;;
esac
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    missing "$python has no module venv or ensurepip: install the package python$version-venv of your system"

# fairseq comes ready to use for Python 3.12 on Linux x86-64; anywhere else it is compiled.
if [ "$version-$(uname -sm)" != "3.12-Linux x86_64" ]; then
    command -v "${CXX:-c++}" >/dev/null 2>&1 ||
        missing "no C++ compiler, which fairseq needs on Python $version: install g++, or use Python 3.12"
    "$python" -c 'import os, sysconfig; os.stat(os.path.join(sysconfig.get_path("include"), "Python.h"))' 2>/dev/null ||
        missing "no Python.h, which fairseq needs on Python $version: install python$version-dev, or use Python 3.12"
    compiles=" and compiles fairseq"
fi

echo "Installing for Python $version into $venv (the first time this downloads about 3 GB${compiles-}: 2 to 10 minutes)"
"$venv/bin/python" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" 2>/dev/null || {
    rm -rf "$venv"
    "$python" -m venv "$venv"
}
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
uv() { "$venv/bin/uv" "$@" --python "$venv/bin/python"; }
# The lock holds every dependency, so none is looked for. Built against the locked versions too: fairseq's build would
# take the newest torch.
uv pip install --no-deps --require-hashes -r requirements/lock.txt --build-constraints requirements/lock.txt
uv pip uninstall --quiet -r requirements/excludes.txt # of an environment from before
uv pip install --quiet --no-deps --no-build-isolation --editable .
touch "$venv/.installed"
echo "Installed. Next: make demo, or make test"

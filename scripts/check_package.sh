#!/bin/sh
# Build the sdist, the wheel from the sdist, and try the wheel in an environment with torch and numpy alone:
#
#   sh scripts/check_package.sh VENV [OUT]      the environment of `make install`; the files are left in OUT (dist)
set -eu
cd "$(dirname "$0")/.."
venv=$PWD/${1:-.venv}
out=$PWD/${2:-dist}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "package: $*" >&2
    exit 1
}

rm -rf "$out"
VIRTUAL_ENV=$venv "$venv/bin/uv" build --quiet --no-build-isolation --out-dir "$out" .
wheel=$(ls "$out"/*.whl)
case $wheel in *-py3-none-*.whl) ;; *) fail "$wheel: expected one wheel for every Python 3" ;; esac

# What is in the repository is in the sdist, but for what concerns the repository itself.
git ls-files | grep -vE '^\.' | sort >"$work/tracked"
tar tzf "$out"/*.tar.gz | sed 's#^[^/]*/##' | sort >"$work/packed"
missing=$(comm -23 "$work/tracked" "$work/packed")
[ -z "$missing" ] || fail "not in the sdist: $missing"

# On PyPI a link or a picture of README must not be relative.
relative=$("$venv/bin/python" - "$wheel" <<'END'
import re, sys, zipfile

wheel = zipfile.ZipFile(sys.argv[1])
(name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
text = wheel.read(name).decode()
assert "## In plain PyTorch" in text, "the README is not in the wheel's metadata"
print(*re.findall(r"\]\((?!https?:|mailto:)[^)\s]+\)", text))
END
)
[ -z "$relative" ] || fail "relative links in the wheel's README: $relative"

"$venv/bin/uv" venv --quiet --python "$venv/bin/python" "$work/bare"
sed 's/ *\\$//; /--hash/d' requirements/lock.txt >"$work/constraints.txt"
"$venv/bin/uv" pip install --quiet --python "$work/bare/bin/python" --constraints "$work/constraints.txt" "$wheel"
cd "$work"
PATH=$work/bare/bin:$PATH
python - <<'END'
import torch

from eureka_nlg.losses import EurekaLoss
from eureka_nlg.losses.kernels import native

assert native.is_available(), "the compiled kernel is not in the wheel"
logits = torch.randn(8, 4, requires_grad=True)
EurekaLoss.from_counts([90, 70, 5, 4], likelihood_cap=0.9)(logits, torch.arange(8) % 4).backward()
assert logits.grad.isfinite().all()
END
eureka --version
[ "$(eureka configs | grep -c '\.yaml$')" -gt 100 ] || fail "eureka configs lists too little"
eureka configs --copy configs_here >/dev/null
[ -f configs_here/dialogue/sample/ce.yaml ] || fail "eureka configs --copy copies nothing"
[ -f "$(eureka plugin-dir)/criterions/eureka.py" ] || fail "the plug-in is not in the wheel"
for command in "prepare data/sample --out x" "train configs/dialogue/sample/ce.yaml" "demo" \
    "vision train configs/vision/cifar10_lt/ce.yaml"; do
    # shellcheck disable=SC2086
    if eureka $command >output 2>&1; then fail "eureka $command: worked without its extra"; fi
    grep -q "pip install 'eureka-nlg\[" output || fail "eureka $command: names no extra: $(cat output)"
    [ "$(wc -l <output)" = 1 ] || fail "eureka $command: more than one line: $(cat output)"
done
echo "package: $(basename "$wheel") and the sdist are whole; the losses work on torch and numpy alone"

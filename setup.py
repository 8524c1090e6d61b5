"""What setup.cfg cannot say: kernels, files in the wheel besides code, the wheel's tag, README on PyPI."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

# -fno-math-errno and -fno-trapping-math let loops be vectorised; nothing here gives up infinities or NaN.
_FLAGS = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden"]

_BUNDLED = ("configs", "data/sample")  # as eureka_nlg.bundled.BUNDLED, which looks for them in _bundled


def _openmp(compiler):
    """Flags of the compiler and of the linker.

    OpenMP is compiled in but not linked: at run time it is torch's, so that both share one pool of threads.
    On Linux that is GNU's, whose calls clang does not make, so what clang compiles there has one thread.
    """
    try:
        version = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        version = ""
    if sys.platform == "darwin":
        return ["-Xpreprocessor", "-fopenmp"], ["-undefined", "dynamic_lookup"]
    return ["-fopenmp-simd" if "clang" in version else "-fopenmp"], []


def _readme():
    """README.md as PyPI can show it: pictures and links that are not of a page are of the repository there.

    While setup.cfg names no `url`, pictures are left out and links are plain text.
    """
    metadata = configparser.ConfigParser()
    metadata.read("setup.cfg", encoding="utf-8")
    url = metadata["metadata"].get("url", "").rstrip("/")
    version = re.search(r'__version__ = "(.*)"', Path("eureka_nlg/__init__.py").read_text(encoding="utf-8"))[
        1
    ]
    tree = "main" if "dev" in version else f"v{version}"

    def absolute(match):
        picture, text, target = match.groups()
        if re.match(r"https?:|mailto:", target):
            return match[0]
        if not url:
            return "" if picture else text
        if target.startswith("#"):
            target = f"README.md{target}"
        return f"{picture}[{text}]({url}/{'raw' if picture else 'blob'}/{tree}/{target})"

    text = Path("README.md").read_text(encoding="utf-8")
    return re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", absolute, text)


class BuildKernel(build_ext):
    """The kernel is called through ctypes, so no version of Python is in the name of its file."""

    def build_extensions(self):
        compile_flags, link_flags = _openmp(getattr(self.compiler, "compiler_so", [])[:1])
        for extension in self.extensions:
            extension.extra_compile_args = [*_FLAGS, *compile_flags]
            extension.extra_link_args = link_flags
        super().build_extensions()

    def get_ext_filename(self, fullname):
        return str(Path(*fullname.split("."))) + ".so"

    def get_export_symbols(self, ext):
        return ext.export_symbols


class BuildWithFiles(build_py):
    """Put the configs and the sample corpus into the package."""

    def run(self):
        super().run()
        if self.editable_mode:
            return  # the clone has them
        for folder in _BUNDLED:
            target = Path(self.build_lib, "eureka_nlg", "_bundled", folder)
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(folder, target, ignore=shutil.ignore_patterns("__pycache__"))


class Wheel(bdist_wheel):
    """One wheel for every Python of a platform; without the kernel it would still be built for one."""

    def get_tag(self):
        _, _, platform = super().get_tag()
        return "py3", "none", platform


setup(
    long_description=_readme(),
    cmdclass={"bdist_wheel": Wheel, "build_ext": BuildKernel, "build_py": BuildWithFiles},
    ext_modules=[
        Extension(
            module,
            sources=[f"{module.replace('.', '/')}.c"],
            depends=["eureka_nlg/losses/kernels/_vector.h"],
            libraries=["m"],
            optional=True,  # without a compiler torch's operations compute the same numbers, more slowly
        )
        for module in ("eureka_nlg.losses.kernels._native", "fairseq_plugins.kernels._native")
    ]
    if sys.platform in ("linux", "darwin")
    else [],
)

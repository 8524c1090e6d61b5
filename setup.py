"""What setup.cfg cannot say: the compiled kernel, the files that the wheel carries besides code, its tag."""

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
    cmdclass={"bdist_wheel": Wheel, "build_ext": BuildKernel, "build_py": BuildWithFiles},
    ext_modules=[
        Extension(
            "eureka_nlg.losses.kernels._native",
            sources=["eureka_nlg/losses/kernels/_native.c"],
            libraries=["m"],
            optional=True,  # without a compiler the losses run on torch's operations, the same numbers slower
        )
    ]
    if sys.platform in ("linux", "darwin")
    else [],
)

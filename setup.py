"""The compiled part of the package; all else about it is in setup.cfg."""

import sys

from setuptools import Extension, setup

# -fno-math-errno and -fno-trapping-math let loops be vectorised; nothing here gives up infinities or NaN.
# OpenMP is compiled in but not linked: at run time it is torch's, so that both share one pool of threads.
_FLAGS = ["-O3", "-fopenmp", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden"]

setup(
    ext_modules=[
        Extension(
            "eureka_nlg.losses.kernels._native",
            sources=["eureka_nlg/losses/kernels/_native.c"],
            extra_compile_args=_FLAGS,
            libraries=["m"],
            optional=True,  # without a compiler the losses run on torch's operations, the same numbers slower
        )
    ]
    if sys.platform == "linux"
    else []
)

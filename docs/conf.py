"""The site, by Sphinx: `make site`. Pages are Markdown (MyST), so that they also read well where they lie."""

import re
import sys
from pathlib import Path

from sphinx.ext.autodoc.mock import mock

import eureka_nlg

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_site"))

project = "eureka-nlg"
author = "the eureka-nlg developers"
version = release = eureka_nlg.__version__
html_title = f"eureka-nlg {version}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "directives"]
exclude_patterns = ["_site"]
highlight_language = "none"  # indented blocks are shell commands, text and formulas
suppress_warnings = ["misc.highlighting_failure"]  # blocks that are named after a file, in corpora.md
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = False  # it reads them in the source, where those of shared options are not
autodoc_use_type_comments = False
# Only their names are needed, and importing them is much of a build. Sphinx has mocks in their places while
# it imports a documented module, and imports the modules of base classes later: so mocks as long as it runs.
autodoc_mock_imports = ["transformers", "trl", "lightning", "datasets", "peft", "accelerate"]
_mocked = mock(autodoc_mock_imports)
_mocked.__enter__()
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_preprocess_types = False

html_theme = "furo"
html_static_path = ["_site/static"]
html_css_files = ["palette.css", "site.css"]
html_show_sphinx = False
html_show_copyright = False  # LICENSE says it
html_copy_source = False


def _write_palette(app, error):
    """The colours of the report, for the figures that are drawn into pages."""
    if error is None and app.builder.format == "html":
        css = (HERE.parent / "eureka_nlg/page/theme.css").read_text(encoding="utf-8")
        variables = re.findall(r"^  --(?:ink|muted|grid|series-\d): .*;$", css, re.MULTILINE)
        if not variables:
            raise LookupError("the style sheet of the report defines no colours like --ink any more")
        Path(app.outdir, "_static/palette.css").write_text("body {\n" + "\n".join(variables) + "\n}\n")


def setup(app):
    app.connect("build-finished", _write_palette)

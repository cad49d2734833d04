"""Hatch's build hook: the wheel contains the documentation site, which the server serves at /docs."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).resolve().parent))
from build import build


class DocumentationHook(BuildHookInterface):  # type: ignore[type-arg]
    """Builds the site for a wheel; an editable install serves what `src/docs/build.py` made in the checkout."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the site, and name it as a part of the wheel."""
        if version == "standard":
            self._folder = Path(tempfile.mkdtemp())
            build(self._folder / "site")
            build_data["force_include"][str(self._folder / "site")] = "cosession/_docs"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove the built site."""
        if version == "standard":
            shutil.rmtree(self._folder)

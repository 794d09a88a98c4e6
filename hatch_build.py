"""What a wheel has besides the code: the man page, as installers put it into share/man."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE = Path(__file__).parent


class ManPage(BuildHookInterface[Any]):
    """Writes the page of this version, and says where it goes."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the page to a wheel; an editable install has none."""
        if version == "editable":
            return
        sys.path.insert(0, str(HERE))
        from zoe_grpcd import __version__
        from zoe_grpcd.cli import arguments, manual

        written = Path(self.directory) / "zoe-grpcd.1"
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(manual.page(arguments.parser(__version__), __version__))
        build_data["shared_data"][str(written)] = "share/man/man1/zoe-grpcd.1"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Takes the page away again: the folder is for wheels."""
        (Path(self.directory) / "zoe-grpcd.1").unlink(missing_ok=True)

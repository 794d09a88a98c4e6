"""A translation as YAML, with what is not carried over as comments. No secret is in it."""

import yaml

from zoe_grpcd.config.litellm.translate import Translation
from zoe_grpcd.config.problem import path_text

_WIDTH = 110


def text_of(translation: Translation, source: str) -> str:
    """The file; `source` is the name of the LiteLLM file."""
    lines = [f"# Made from {source} by `zoe-grpcd config import-litellm`."]
    if translation.values:
        lines += ["# The environment has to hold, besides what the file refers to:"]
        lines += [f"#   {name}" for name in translation.values]
    if translation.notes:
        lines += ["# Of that file, this is not here, or not as it was:"]
        lines += [f"#   {path_text(note.path)}: {note.message}" for note in translation.notes]
    for section, content in translation.data.items():
        dumped = yaml.safe_dump({section: content}, sort_keys=False, allow_unicode=True, width=_WIDTH)
        lines += ["", dumped.rstrip("\n")]
    return "\n".join(lines) + "\n"

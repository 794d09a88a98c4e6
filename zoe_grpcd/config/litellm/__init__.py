"""A LiteLLM proxy file -> a configuration of ours.

Rule: each part of the file is taken or listed; nothing is passed over in silence, and no secret is printed.
"""

from zoe_grpcd.config.litellm.document import as_ours, is_litellm
from zoe_grpcd.config.litellm.source import Note
from zoe_grpcd.config.litellm.text import text_of
from zoe_grpcd.config.litellm.translate import Translation, translate

__all__ = ["Note", "Translation", "as_ours", "is_litellm", "text_of", "translate"]

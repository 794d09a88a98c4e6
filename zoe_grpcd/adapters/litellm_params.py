"""Whether the models of a cloud service tell how likely their tokens were, as far as LiteLLM knows.

The one rule: it is asked beside the event loop: its first word on a provider loads the code for that one (0.25 s for
Anthropic). It is asked of the code that is installed, and of nobody else.
"""

from contextlib import suppress
from functools import cache
from typing import Final

_PARAMETER: Final = "top_logprobs"
# Services that refuse the parameter of all models, which LiteLLM 1.109.1 would send them: Groq's documentation of its
# interface names it among those that end with status 400.
_REFUSE: Final = frozenset({"groq"})


@cache
def gives_logprobs(provider: str, model: str) -> bool:
    """True for a provider that LiteLLM knows nothing of. LiteLLM has to be loaded."""
    from litellm import get_supported_openai_params

    if provider in _REFUSE:
        return False
    supported = None
    with suppress(Exception):  # of any class: foreign code
        bare = model.removeprefix(f"{provider}/")
        supported = get_supported_openai_params(model=bare, custom_llm_provider=provider)
    return not supported or _PARAMETER in supported

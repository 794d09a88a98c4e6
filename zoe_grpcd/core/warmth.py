"""Whether a choice hangs on what servers have in memory, so that they are asked once more before it is acted on.

Rule: to ask costs milliseconds and a load costs seconds, so it is asked where the answer may save a load, and only there.
"""

from zoe_grpcd.core.scoring import Choice

# Who was looked at within this is not asked again (seconds).
FRESH = 1.0


def in_doubt(choice: Choice) -> frozenset[str]:
    """The backends to ask; none: there is no other choice, or it would be the same.

    Before a model is loaded: those that would have to load, since one of them may have its model by now. Before a model
    that is in memory gets the request: its backend, if that has others, which may have pushed it out.
    """
    options, chosen = choice.options, choice.options[choice.best]
    if len(options) < 2:
        return frozenset()
    if chosen.view.load_seconds > 0:
        return frozenset(o.view.deployment.backend for o in options if o.view.load_seconds > 0)
    own = chosen.view.deployment.backend
    shop = chosen.gate.view.shop
    elsewhere = any(option.view.deployment.backend != own for option in options)
    return frozenset({own}) if elsewhere and shop is not None and shop.loads else frozenset()

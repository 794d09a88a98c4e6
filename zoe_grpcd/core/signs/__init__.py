"""The signs of the intents that ship with the daemon, an intent a file: weight -> phrases, one a line, in the notation of
`core.phrases`.

The rule: 3 decides, 2 is strong, 1.2 is clear, 0.8 is enough alone, 0.4 only supports; what adds up to less than
`classify.FLOOR` is chat.
"""

from collections.abc import Mapping

Table = Mapping[float, str]

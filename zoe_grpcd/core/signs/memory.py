"""What was said before, or what is known of the one who asks."""

from zoe_grpcd.core.signs import Table

SIGNS: Table = {
    2.6: """
        do|can|did you|u still? remember|recall & !@long
        you remember|recall|know about me|us
        you know|remember|recall .. about me|my
        ^remember|recall that|this|my|i|about|how|please|when|what
        ^forget what|that|about|everything
        do not forget that|my|i
        what|who|when|where|how|which did i|we|you .. say|said|tell|told|mention|ask|talk|discuss|decide|agree|suggest|call
        did i|we|you ever|already|just? tell|mention|say|told|talk|discuss|ask|give
        have i|we|you ever|already? told|mentioned|said|asked|talked|discussed|given
        have i asked|told|said
        i|you|we told|mentioned|said|suggested|asked .. earlier|before|yesterday|last|previously|again
        last time i|we|you
        our|the|your last|previous|earlier|past conversation|chat|discussion|session|talk
        ^remind me what|who|where|how|why|which|again
        what|who|when|where|how|which .. again & @question & @short & !try
        what have i|we|you & @question""",
    2.2: """
        ^who is & @tiny & !^who is the|a|an|your|you|better|there|this|that|right
        ^who is|are|was|were my|our
        what|when|who|where|how is|are|was|were my|our & @short & !{agenda} & !@code
        when|where|what|who|which|how did i|we & @short & !@code & !@numbers
        when|where|what|who|how .. i|we .. last & @question & !{agenda}
        what was|were i|we & @short
        what was|were the|that|my .. i|we & @short & @question
        what did .. say|tell|want & @short & @question & !the|a {source} & !author
        did i .. & @short & @question
        what|when|who|where .. {person} .. birthday|anniversary|name|favourite|favorite|called|like & @question
        when .. birthday|anniversary & @question
        do you know .. my|our & @question & !{agenda}
        what do you know about & @short""",
    0.5: """
        remember|recall|recollect
        my {person}
        yesterday|earlier|previously|before|again""",
}

"""A label for a text, or yes or no."""

from zoe_grpcd.core.signs import Table

SIGNS: Table = {
    3.2: """
        ^classify|categorize|categorise|classifying|categorizing
        classify|categorize|categorise|classified this|these|the|each|as|into|it|them|following|whether
        ^label the|this|these|each|it|them|following|as
        ^tag the|this|these|each|following
        ^identify|decide|determine|tell|say|indicate|state|detect|judge|predict|verify|check|assess me? if|whether & is|are|or|contains|contain|has|was|were & !prove & !@math & !{agenda} & !{service}
        ^predict|detect|verify & !{tech} & !@math
        given a|an|the|some .. {source}|sentence|text|statement|review|tweet|headline|utterance|query|comment|dialogue .. determine|classify|detect|identify|decide|predict|output|tell|label|choose|select
        ^find|replace|mark|link|highlight|underline|tag|fill .. in|of the|this {source}|sentence|text|list|blank & !{tech} & !write
        output|return|answer|respond|reply .. yes|no|true|false|1|0 & !@short & !{tech}
        true or false & !{tech}
        is|are the|this|these|following .. {source}|sentence|statement|claim|tweet|comment|email .. true|false|correct|positive|negative|spam|grammatical|toxic|offensive|factual|subjective|ethical|sarcastic
        choose|select|pick|pick .. topic|category|label|oldest|longest|largest|odd|option & !{tech}
        options|candidates|categories|labels|choices include|are|: & !{tech}
        hate|hateful|toxic speech|language|content|word|comment
        ^identify|recognize|recognise|detect the|which|all|each|what & !{tech} & !@math
        sentiment|emotion|tone .. of|this|in|the|expressed|does|is & !write & !explain
        what|which emotion|sentiment|tone|category|class|label|topic|genre|intent|type .. this|the|does|is|following|best|should & !explain & !explain
        spam or|and not|ham
        positive|negative or|and|,? negative|positive|neutral & !number & !integers
        positive , negative|neutral
        part|parts of speech
        {label} or {label}|not
        assign .. to|one|category|label|score
        into|to|to one|these|the|following|two|three of? .. categories|classes|groups|labels|buckets
        ^pick|choose|select .. right|correct|best|appropriate|most label|category|class|option|tag|answer
        ^rate|score|grade .. from|on|scale|out|between
        scale of|from 1|one|0|zero
        which .. of these|the .. are|is|belong & @question & @list
        ^which & or & @short & @question & !better & !best & !should & !i & !we & !cheaper
        tell me|us? which|whether|if .. are|is .. or|and & @list
        entail|entails|entailed|entailment
        ^group|sort|separate|split|divide .. into|as|by & !{tech}
        is this|the|it .. {label} & @question
        acceptable|grammatical|toxic|offensive|hateful|sarcastic & is|answer|or
        by|their urgency|priority|topic|category & sort|label|categorise|categorize|classify
        these|given|following categories|labels|classes
        which category|class|label|one|type
        answer with|in one|only|just? .. label|word|number|category & !yes
        ^is it a|an .. or & @short""",
    1.6: """
        classify|categorize|categorise|classification|labels|taxonomy & !how & !{tech}""",
    0.6: """
        label|category|categories|sentiment""",
}

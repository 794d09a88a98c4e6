"""An answer from a text that comes along or is referred to, or what is to be taken out of it."""

from zoe_grpcd.core.signs import Table

SIGNS: Table = {
    10.0: "@context",
    2.8: """
        ^extract
        ^pull out
        extract|pull|find|list|identify|return|get .. from|in|out .. the|this|following|below|each .. {source}|text|message|sentence|receipt|list & !{tech} & !summarize
        entities|entity|keywords|hashtags|dates|addresses|names & ^find|identify|list|get|name
        named entity|entities
        according to .. {reference}
        based on|upon .. {reference}|provided|above|following
        using only? .. {reference}|context & @question
        using only .. {reference}|context|provided
        what|where|when|who|which|how does|do|did|is .. the|this|that|my|our|your? {source} .. say|says|state|mention|contain|cover|describe|list|require|recommend
        does the|this|that|my|our {reference} .. say|cover|mention|state|contain|include|require|allow
        in the|this|that|our|your .. attached|uploaded|enclosed|provided|above|following|given .. {reference}|file|documents|agreement
        in|from|of the|this|that|my attached|uploaded|enclosed|provided file|document|contract|pdf|report|agreement|documents
        context to answer
        extract|find|give|select|copy the answer .. question .. {reference}|story|plot|book
        contains the answer
        answer|respond .. from|using|based|with .. context|passage|document|text|paragraph|information|article|documents|below
        read .. {reference} .. and|then answer
        given the|this|a following|above|below|reference? .. {reference}|text & @question
        as|is stated|described|mentioned|written|explained in|by
        context & question & @question
        ^context & @question
        using|from|with the|this information|text|passage|article|document|context given|provided|above|below
        reference text|paragraph|passage|document
        given the|this|these|following .. passage|passages|paragraph|document|documents|article .. answer|find|tell|who|what|when|where|how
        ^passage|document|article|paragraph|background & @question & !summarize
        knowledge base
        ^quote|cite|reference the|where|which|that section|paragraph|sentence|passage|page|part|clause
        where in the|this {source}
        look|search|check in|through|inside|up the|this|my|our|all? {source}|docs|documents|documentation
        from the|this .. {reference} .. what|who|when|where|how|which""",
    2.0: """
        extract & !how & !{tech}
        mentioned in|along|above|below & list|find|identify|all
        ^list|return|find .. names|dates|addresses|numbers|entities|locations|companies|people|places|keywords .. in|from|mentioned|below
        ^list .. mentioned
        @closing & !{tech}
        in|from|of the|this {reference} & {ask} & @question""",
    0.5: """
        document|documents|passage|pdf|attached|uploaded|excerpt|handbook""",
}

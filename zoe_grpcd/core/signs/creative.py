"""Something to be written or invented: prose, verse, names, a role."""

from zoe_grpcd.core.signs import Table

SIGNS: Table = {
    3.0: """
        ^write|compose|create|generate|make|draft|pen|craft|tell|give|come|invent|continue|finish|compose|produce .. {verse}
        role play|playing
        ^pretend|imagine|suppose|act|embrace|assume|behave|impersonate|picture & you|yourself|as|role|persona|we
        act|acting|speak|respond|talk|answer|write|reply as|like a|an|if
        in the style|voice|manner|spirit of
        bedtime story
        short story
        opening line|lines|paragraph|sentence""",
    2.4: """
        ^write|compose|draft|create|craft|pen|generate|script|design|make|prepare|produce|develop .. {prose} & !{tech} & !^write|send .. {agenda} to
        ^write|compose|draft|craft|pen & !{program} & !{tech}
        write|compose|draft|pen .. {prose} & !^who|whose & !wrote & !{tech} & !@code
        write|compose|draft|pen|craft a|an|some|me|my|another .. {prose}|words & !{program}
        ^rewrite|paraphrase|rephrase|reword|polish|proofread|edit & !{program} & !{tech} & !@code & !loop|comprehension|query
        ^think|come .. of|with .. metaphor|simile|analogy|pun|riddle|rhyme
        ^you are a|an .. & give|write|tell|help|answer|suggest|speak & !{tech} & !@numbers & @statement
        ^write .. sentence|sentences|conversation|paragraph|text|description|words|content|copy|outline & !{tech} & !@code & !{program}
        rewrite|paraphrase|rephrase|reword|restate|revise .. {source}|sentence|sentences|it|this|following & !{tech} & !@code
        ^reply|respond|answer .. {source} & !context & !@question
        ^expand|elaborate|complete|continue|finish|extend|fill .. outline|article|paragraph|lyrics|story|text|letter|dialogue|poem
        ^convert|change|turn|transform|make .. sentence|tone|paragraph|email|passage & !{tech} & !@code & !{agenda}
        joke|jokes|limerick|pun about|for|on|with|that & ^tell|write|give|create|make & {ask}|about|that
        write|create|compose|draft|give .. for|about|on|to|of .. blog|website|product|company|brand|campaign|newsletter|linkedin|audience & !{tech} & !{program}
        ^you are a|an|the & write|play|respond|act|stay
        write|craft|construct|create|suggest|give|help|generate|design .. headline|headlines|slogan|tagline|catchphrase|jingle|ad|pitch|motto|hashtag & !{tech}
        come|coming up with & !{program} & !solution
        ^brainstorm|invent|dream|conceive
        think of|up a|an|some|five|three|ten|clever|creative|funny .. name|names|title|pun|titles|ideas|slogan|nickname
        ^make up
        ^suggest|give|propose|generate|create .. name|names|title|titles|slogan|tagline|caption|captions|nicknames|hashtags & !{tech}
        ideas for a|an|the|my
        ^continue|finish|complete the|this|my .. story|poem|tale|sentence|narrative|paragraph|scene
        ^make .. more|sound poetic|engaging|persuasive|vivid|dramatic|exciting|formal|professional|descriptive|funny
        wedding vows|speech
        {verse} about|on|for|in
        plot for|idea
        ^generate|create|design|build .. world|universe|character|characters|superhero|conversation|dialogue|campaign|brand""",
    0.8: """
        fictional|fantasy|sci-fi|imaginary|villain|protagonist|poetic|imaginative|creative|whimsical|rhyme|rhyming|rhymes
        story|poem|song & ^tell|write|a
        ^describe a|an
        ^suggest|create|generate|design|write|make & @short""",
}

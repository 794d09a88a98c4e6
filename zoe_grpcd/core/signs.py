"""The signs of the intents that ship with the daemon: weight -> phrases, one a line, in the notation of `core.phrases`.

The rule: 3 decides, 2 is strong, 1.2 is clear, 0.8 is enough alone, 0.4 only supports; what adds up to less than
`classify.FLOOR` is chat.
"""

from collections.abc import Mapping

Table = Mapping[float, str]

VISION: Table = {12.0: "@image"}

ACTION: Table = {
    9.0: "@tools",
    2.4: """
        ^add|put|write|note|append|jot .. to|on|onto|in|down|into .. {agenda}
        ^remind me & !^remind me what|who|where|how|why|which|again
        ^insert|place|put|add|drop|include|strike|scratch .. list|calendar|agenda|cart|basket
        ^transfer|move|send .. from|to .. account|accounts|savings|checking
        ^book|reserve|order|get|find|call|grab|fetch|rent|hire|hail .. {errand}|van|boat|bike
        ^alarm|timer|reminder|appointment & @short & !@question
        ^restart|reboot|unplug .. & @short & !{tech} & !{program}
        ^change|set|switch your name|language|voice|accent|tone|settings
        ^speak|talk to? me? in a|an|the? & @short & accent|voice|language|{language}
        ^pair|unpair|connect|disconnect|sync|link .. phone|device|bluetooth|yourself|speaker|tv|computer|laptop
        ^enter|leave|exit|activate|use|go|turn|start|stop|switch .. mode & @short & !{tech}
        ^give|get|find|show|want me|us .. {agenda} & !about & !{prose} to
        ^have|let the? {device} & @short
        what|which|any|show|list .. upcoming|next|scheduled|set|active .. {agenda}
        turn|switch|start|stop|run|dim|play|schedule|remind|book|delete|cancel|reserve .. {device}|{media}|{errand} & @short & @statement & !^i|my|we|he|she|they & !said|told|forgot|tried|did|was|always|used
        schedule|remind|book|delete|cancel|remove|set|add .. {agenda} & @short & @statement & !^my|he|she|they & !said|told|forgot|tried|did|was|always|used|not
        ^remind|notify|alert|ping|warn us|him|her|everyone|me .. to|about|when|at|of
        ^wake .. up|at
        ^turn|switch|shut|power on|off|up|down
        ^turn|switch|shut|power .. {device} .. on|off|up|down
        ^turn|switch|shut|power .. on|off|up|down & @short
        ^set|make|create|start|add|schedule|put|save|setup .. {agenda} & !list of & !lists of & !note of & !{program}
        ^set|put|change|adjust|make|turn|lower|raise|increase|decrease|reduce|dim|brighten|bring .. {device}
        ^cancel|delete|remove|clear|erase|postpone|reschedule|snooze|move|edit|rename|discard .. {agenda}
        ^play|shuffle|repeat|queue|skip|pause|resume|rewind|replay|stop|hear .. {media}
        ^book|reserve|order|buy|purchase|get|find|call|need .. {errand}
        ^text|sms|message|email|e-mail|dial|phone|ring|facetime|call .. {person}
        ^transfer|send|pay|move|withdraw|deposit .. {money}
        ^send|forward|write|shoot .. email|mail|message|text|sms|note|invitation|invite to
        ^reply|respond to & @short
        ^post|tweet|share .. on|to twitter|facebook|instagram|x|linkedin|social|reddit""",
    2.0: """
        ^schedule|reschedule|snooze|mute|unmute|dim|brighten|vacuum|preheat|hoover & !@code
        ^play & !^play on|with|a role
        ^send|email|e-mail|text|dial|tweet & @short
        ^add|remove|delete|take|strike|put|cross .. to|from|off|on|in my|the|our|a .. list|cart|calendar|basket|order|lists
        ^lock|unlock|open|close|shut|start|stop|activate|deactivate|enable|disable|run|brew|make|use .. {device}
        ^freeze|unfreeze|block|activate|cancel|replace|report .. account|card|cards|subscription|order|membership|pin
        ^report .. lost|stolen|damaged|fraud|fraudulent
        ^change|update|reset|switch .. my|your .. & @short
        ^flip|toss a|the coin
        lights|light|lamp|heating|volume|music|tv|sound on|off|up|down & @short
        ^volume|brightness|temperature up|down|to|on|off
        ^next|previous|skip|pause|resume|stop|louder|quieter & @tiny
        ^order|buy|purchase .. & @short
        ^order|buy|purchase & @short & !@numbers
        my .. {agenda} & @question & @short & !remember
        {ask} .. on|in my|the {agenda}
        do|have i|we have|any|got .. {agenda} & @question
        ^show|read|check|list|tell|give|open|find|pull .. my|new|recent|latest .. {agenda}
        ^show|read|check|list|tell|open .. {agenda} & my
        what is|are my|the|left? .. {agenda} & my & @short
        when|where is|are|do|does .. next|first|last meeting|appointment|event|alarm|flight
        how much|long time|longer? .. left|remaining .. timer|alarm
        any|new|unread emails|email|mail|messages|voicemails & @short
        ^i .. hear|listen|watch .. to? .. & @short
        i|we need|want|would|wanna|gotta|must .. {errand} & !how & !@foreign & !@narrative
        i|we need|want|would|wanna|gotta|must .. {agenda} & !how & !@foreign & !@narrative & !{prose} about
        i|we need|want|would .. order|fly|book|reserve|buy|reschedule|cancel|schedule & !how & !@narrative & !{program}
        {agenda} .. should|needs|must|has
        i .. hear|listen to|some|the|a & @short & ^i
        do|am|did i|we .. to|supposed .. buy|do|get|pick|attend & @question & @short
        {agenda} .. have|has|include|contain|set|got|on & @question & @short & !{tech} & !remember & !{source} say
        what|which {agenda} & @question & @short & my|i|set|there|active
        {device} .. on|off|up|down|louder|quieter|brighter|darker & @short & !@question
        toss|flip|throw|roll .. coin|dice|die & !@numbers
        speak|talk|say .. slower|slowly|faster|louder|quieter & @short
        call|name me|yourself & @short & !@question
        from now on|onwards & @short
        place|make|put|submit|start .. order|reservation|booking|request|call|payment|deposit|transfer & @short & !how
        i would like|love .. {errand} & @short & !how""",
    1.6: """
        ^call|ring|phone|dial & @short & !function & !method
        ^cancel|postpone|reschedule|delete|remove|erase|clear|silence|stop|pause|resume|unpause & @short
        ^set & @short & !{tech}
        ^add|put & @short
        ^book|reserve & @short
        ^lower|raise|increase|decrease|reduce|crank & @short
        ^start|begin|launch|open|close & @short & !with
        ^lights|light & @short
        ^move|push|bring .. to|back|forward & @short
        ^save|bookmark|like|rate .. this|that|current
        ^give .. thumbs|stars|rating
        ^decline|accept|confirm|rsvp & @short
        ^stop|silence|quiet|shush|halt & @tiny
        ^track|navigate|directions|route to|my
        ^find|locate .. my phone|keys|car|wallet
        ^ask|tell .. to & @short & !me & !how
        ^tune|switch in|to|over
        ^put on|away & @short
        ^play|start .. game|trivia|chess|quiz
        ^redeem|apply|enroll|sign|activate|order|renew|refill & @short
        ^check|change|switch|get|bring|fetch|make|keep|submit|file|contact|connect|log|stream|sync|drop|adjust|hush|quit|unsubscribe|dismiss|launch|email & @short & !story & !joke & !@question & !me a|an|some|about & !@code
        ^up|down|off|on|mute|unmute|lights & @tiny
        ^make|get|bring|fetch|order me a|an|some & @short & !{prose} & !list""",
    0.5: """
        {agenda} & my
        on|for|at monday|tuesday|wednesday|thursday|friday|saturday|sunday|tomorrow|tonight|noon|am|pm
        please & @short
        @imperative & @short""",
}

MEMORY: Table = {
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

CODE: Table = {
    3.0: "@code",
    2.4: """
        write|create|implement|build|make|generate|code|design|develop|give|need|produce|define|complete .. {program} & !@foreign
        write|create|implement|build|make|generate|design|develop|complete .. {tech}
        ^implement|refactor|debug|compile|deobfuscate|reimplement & !plan & !policy & !law
        unit|integration test|tests
        in|using|with|for|from|of|a|the|my|this|to {tech} & @question
        {tech} function|code|script|program|class|error|command|query|file|container|project|app|library|package|list|dict
        {tech} & {ask} do|to|can|does|is|are|should|would|i
        {tech} & {structure}
        {tech} & {trouble}
        {structure} .. {structure} .. {tech}
        this|my|following|the|below|some|your|that code|snippet|function|script|program|codebase|method|query & !zip & !postal & !main
        {trouble} & @question & !margin & !human
        in|using|with rust|swift|ruby|go|r|excel|react|flask|spring|spark|node
        rust|swift|ruby|go|react|flask|spring|node function|functions|code|program|app|script|component|hook|struct|macro|native|js|boot|server
                pull request|requests
        fix|find|spot .. bug|bugs
        bug|bugs in
        array|arrays & !an|wide|vast array|arrays of & !solar
        commit|commits|branch|branches|repo|repository .. & undo|push|pushed|merge|revert|squash|rebase|checkout|clone|stash & !crime
        keyword|keywords & do|does|mean|use|when & !seo & !@long & {ask}
        script that|to|which|for & !film|movie|play|scene|tv
        recursion|decorator|decorators|lambda|closure|closures|mutex|deadlock|pointer|pointers & explain|what|how|difference|example
        write|create|construct|build|generate|design|develop .. {structure} & {structure} & !number|numbers|{prose}
        write|create|construct|generate|build .. loop|statement|array|dictionary|tuple|regex|xpath|css|selector|schema|struct|enum|class|object|expression .. to|that|with|for|of|in & !numerical|algebraic
        input|given|an|the|following array|dictionary|tuple|matrix|string|linked & {structure}""",
    1.8: """
        {tech} & !^who
        given|takes|accepts|take|return|returns .. array|string|integer|integers|tuple|dictionary|matrix|linked|strings|arrays
        function|method|algorithm to|that|which|for & write|create|find|implement|given
        linked|hash|binary|nested list|lists|map|table|tree|search|loop|loops|array|dictionary
        for|while|nested|infinite loop|loops
        list comprehension|comprehensions|slicing
        docstring|docstrings|namespace|boilerplate|refactor|refactoring|stdout|stdin|stderr|localhost|hashmap|nullptr|nullable
        environment|instance|global|local|static|boolean variable|variables|method
        ^return .. if|the|true|number & @code
        how do|to|can|should i? .. {structure} .. {structure} & !@foreign
        how do|to|can i? sort|reverse|iterate|concatenate|append|split|parse|serialize|clone|merge|loop|instantiate|import|call .. {structure}
        how do|to|can i? check|convert|remove|find|get|read|write|pass|access|declare|initialize|create|add|delete|split|count .. {structure} & !my
        ^convert|rewrite|turn|change .. loop|function|class|code|script|method|query|sql|json|csv""",
    0.9: """
        programming|coding|debug|debugging|software|developer|syntax|runtime|algorithm|api|apis|repository|repo
        code & !zip & !dress & !postal & !conduct
        variable|variables|array|arrays|integer|integers|string|boolean|substring & write|find|return|given|check""",
    0.4: """
        function|functions|parameter|script|method|library|framework|command|terminal|loop|regex""",
}

RAG: Table = {
    10.0: "@context",
    2.8: """
        according to .. {reference}
        based on|upon .. {reference}|provided|above|following
        using only? .. {reference}|context & @question
        using only .. {reference}|context|provided
        what|where|when|who|which|how does|do|did|is .. the|this|that|my|our|your? {source} .. say|says|state|mention|contain|cover|describe|list|require|recommend
        does the|this|that|my|our {reference} .. say|cover|mention|state|contain|include|require|allow
        in the|this|that|our|your .. attached|uploaded|enclosed|provided|above|following|given .. {reference}|file|documents|agreement
        in|from|of the|this|that|my attached|uploaded|enclosed|provided file|document|contract|pdf|report|agreement|documents
        context to answer
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
        in|from|of the|this {reference} & {ask} & @question""",
    0.5: """
        document|documents|passage|pdf|attached|uploaded|excerpt|handbook""",
}

SUMMARIZE: Table = {
    3.0: """
        summarize|summarise|summarizing|summarising|summarized|tldr|summarization
        ^summarize|summarise
        summary & write|give|provide|make|create|produce|generate|please|short|brief|concise|get|need
        key|main|central|core points|point|idea|ideas|takeaways|argument|message & {source}
        sum|sums up|it|this|that & !^what & !@numbers
        executive summary""",
    2.6: """
        summary & write|give|provide|make|create|produce|generate|please|short|brief|concise|get|need|one|quick|of|want
        ^summary
        key|main|important|major|central|core|salient points|point|takeaways|takeaway|ideas|findings|message & !{tech}
        main|central|core|overall idea|argument|message|theme .. {source}
        takeaways|takeaway|gist|synopsis|recap|abridge|abridged|condense|condensed|abstract|distil|distill|digest & !art & !class
        the|a|quick|some highlights|rundown|gist|recap|digest
        boil .. down
        ^shorten|condense|abridge|compress .. {source}|this|that|it|following|to|into
        short|shorter|brief|briefer|condensed|concise version|overview|summary|recap
        bullet point|points|summary & {source}
        ^outline the main|key
        ^highlight|give|list .. main|important|key|essential|relevant
        what is this|the {source} about|saying
        in one|1|a|two|three single|few|short? sentence|sentences|lines|bullets & {source} & !write""",
    0.6: """
        briefly|overview|outline|bullets|bullet""",
}

TRANSLATE: Table = {
    4.0: """
        ^translate|translating|translation
        translate|translated|translating to|into|this|from|the|that|for|it|my
        translation|translations of|for|into|from
        the? {language} translation
        traduce|traduzca|tradúceme|traducir|traduis|traduisez|traduire|übersetze|übersetzen|traduci|tradurre|traduza|traduz|traduzir|vertaal|przetłumacz|переведи|översätt|翻译|翻訳|번역""",
    3.0: """
        say|said|pronounce|write|spell .. in {language}
        how do|would|to|does|can|could you|i|one|we? say|ask|write|spell|pronounce .. {language}|{country}
        in|into|to {language} please|: & @short
        {language} word|words|phrase|expression|term|equivalent|name for|of
        {language} for
        what is|are|does .. in {language}
        {language} to {language}
        from {language} to|into {language}
        mean|means|meaning .. in {language}
        into {language}
        put|render|convert|give|rewrite|have|need|want|turn .. in|into|to modern? {language}
        how|what would|might|could|do|does a|an|the? {country} say|greet|ask|call
        if i|we was|were & say|ask|greet|tell|order & how|what
        how would|might|could i|you|they|one say|greet & @short & !no""",
    1.0: "translate|translation",
}

MULTILINGUAL: Table = {2.8: "@foreign"}

CREATIVE: Table = {
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

REASONING: Table = {
    2.8: """
        @math & @imperative
        @math & @question
        ^solve|simplify|factor|factorize|factorise|differentiate|integrate|prove|disprove & !@code
        ^solve|calculate|compute|evaluate|determine|find|simplify & @math
        ^calculate & !{tech}
        step by step & !{tech} & !recipe
        how many|much|far|long|old|fast|tall & @numbers & !{tech}
        what & @numbers & total|sum|average|mean|percent|percentage|probability|difference|ratio|area|perimeter|volume|cost|profit|price|chance
        what|find .. probability|remainder|derivative|integral|determinant|hypotenuse|circumference|lcm|gcd|median & !explain & !^explain
        find .. the|all? value|values|area|perimeter|sum|product|roots|solutions|solution|number|dimensions|limit|slope|volume
        ^solve .. riddle|puzzle|equation|problem
        positive|negative|real|consecutive|prime|rational|even|odd integer|integers|number|numbers|solutions & !{program} & !{tech} & !loop|prints
        older|younger|taller|shorter|heavier|lighter|faster|slower|richer than & who|which|is & @list & @question
        argument .. valid|sound|invalid
        true|false and|or|not true|false|not
        sequence & @numbers
        square|cube root
        if all|some|every|no .. are|is & @question
        implies|therefore|deduce|syllogism|infer
        ^convert .. to {unit}
        how many .. in|are .. {unit}
        how many {unit}
        divided|multiplied|times|plus|minus|divisible by?  .. & @number
        converting|conversion|convert|converted & {unit}
        ^multiply|divide|subtract & !{tech}
        {unit} to|into|in|per|and {unit} & !@narrative
        solve|solving|solved .. problem|problems|equation|equations|riddle|system|puzzle & !{tech}
        find|compute|calculate|determine .. number|numbers|prime|integer|integers|digits & !{tech} & !phone & !write & !@code & !array & !function & !list
        @percent
        in|won|run|running a|the race & second|last|overtake|pass|overtaken""",
    2.0: """
        ^compare|weigh & !{tech} & decide|better|choose|which|best|recommend|and|pros
        ^compare|contrast
        which is|one|would|option|of .. better|best|cheaper|choose|faster|smarter|worse|wiser & !{program}
        pros and cons
        should i|we .. or & @question
        help me decide|choose
        @narrative & @question & !{tech} & !@code
        how much|many & @narrative
        what & @numbers & @narrative
        percent|percentage|discount|interest|fraction & @number
        who|which|when|what|how & @narrative & left|right|taller|older|faster|next|next|truth|lies|sits|owns|meet
        your reasoning
        tip on & @number
        riddle|puzzle|brainteaser|paradox|sudoku & !^write & !explain
        how many|much .. does|did|do|will|are|were|is .. she|he|they|have|left|make|earn|need|take|cost|spend""",
    0.8: """
        @math
        total|altogether|each|remaining|twice|half & @numbers
        theorem|equation|polynomial|triangle|rectangle|matrix|inequality|algebra|geometry|calculus & @number
        logically|logic|deduction|infer|analyze|analyse|evaluate|assess|strategy|plan""",
}

EXPLAIN: Table = {
    2.2: """
        ^explain|elaborate|clarify & !{tech} & !code|snippet|script & !@code
        explain & !{tech} & !code|snippet|script & !@code
        difference between & !{tech} & !{program}
        ^teach me about|how|the
        ^define & !{program} & !{tech}
        ^tell me about|more|how|why & !you & !my & !yourself
        what does .. mean|stand & !{language} & !{tech}
        what is|are the? meaning|definition of
        ^describe how|why|what|the & !image & !picture
        i|we do|can not quite|really? understand|get|grasp
        help|make me understand
        how does|do|did|is|are|was|were .. work|works|made|formed|function|happen|produced|occur|affect|measured|spread
        the? concept|theory|principle|history|origin|origins|significance|importance|purpose of & !write
        i|we would? want|like|love|need|wish|interested|curious to|in know|learn|understand|find|knowing|learning & !{agenda} & !you|your
        ^give|write|provide a|an|the? brief|short|general|quick? overview|explanation|introduction|description of
        ^suggest .. exercises|ways|tips|methods|activities|documentaries|films|books|resources
        tell|show|teach|instruct|inform me|us .. how|why to|do|does|is|are|the|a|i|on & !{agenda} & !{tech}
        what .. mean|means|meaning|definition & !{language} & !{tech} & !you
        mean|means|meaning|definition by|of|for & @short & !life & !{language}
        nutrition|nutritional|calories|calorie|protein|carbs|vitamins|ingredients|recipe|recipes & !how many calories .. total & !write|create|invent & !order & !@narrative
        ^give|tell|show me|us .. information|info|facts|details|examples|overview|reasons|definition|history & !my & !fun & !random
        ^give|list|provide|name .. examples|example|facts|reasons|benefits|ways|steps|tips|causes|laws|advantages|description|instructions|list|things & !write & !name for
        can|could|would you tell|explain|teach|show|instruct|describe .. what|how|why|the|who|about
        how to & !you & !say
        how do|can|could|would|should i|we|one|people|you & !you feel & !say & !remember & !{agenda}
        how .. is|are|was|were .. made|built|born|formed|called|used|different|grown|created & !you""",
    1.2: """
        ^what is|are|was|were|causes|caused|happens|happened|makes|does|kind|type|kinds|types|did
        ^how do|does|did|is|are|was|were|can|to|come|would|could|long|far|tall|big|old|many|much|fast|deep|high|often & !you feel
        ^why & !you & !@code
        ^who was|were|wrote|invented|discovered|painted|won|founded|created|composed|directed|built|sang|played|first|is|are|made & !you
        ^who is|are|was the|a|an
        ^when|where|which|who is|was|did|do|does|are|were|can|has|have|country|city|year|animal|planet
        ^what country|city|year|animal|planet|color|colour|language
        ^explain|describe|define|discuss|outline|elaborate
        ^in|on|at|for what|which|whom|how
        ^give me an|a|some overview|introduction|explanation|example|examples|background|information|details|facts|fact
        ^tell me about|how|why|what|which|who & !{agenda} & !your & !yourself
        ^list|name .. of|the|some|benefits|advantages|reasons|causes|ways|examples|side
        what are the|some|good? benefits|advantages|effects|causes|types|reasons|differences|ways|side|symptoms|uses""",
    0.8: """
        @question & {ask} & !you & !your & !my & !@narrative
        ^is|are|does|do|can|did|has|was|were & @question & !you & !your & !i & !my
        ^what|how|why|who|where|when & @question""",
}

CLASSIFICATION: Table = {
    3.2: """
        ^classify|categorize|categorise|classifying|categorizing
        classify|categorize|categorise|classified this|these|the|each|as|into|it|them|following|whether
        ^label the|this|these|each|it|them|following|as
        ^tag the|this|these|each|following
        ^extract
        ^pull out
        extract|pull|find|list|identify|return|get .. from|in|out .. the|this|following|below|each .. {source}|text|message|sentence|receipt|list & !{tech} & !summarize
        ^identify|decide|determine|tell|say|indicate|state|detect|judge|predict|verify|check|assess me? if|whether & is|are|or|contains|contain|has|was|were & !prove & !@math & !{agenda} & !{service}
        ^predict|detect|verify & !{tech} & !@math
        given a|an|the|some .. {source}|sentence|text|statement|review|tweet|headline|utterance|query|comment|dialogue .. determine|classify|detect|identify|decide|predict|output|tell|label|choose|select
        ^find|replace|mark|link|highlight|underline|tag|fill .. in|of the|this {source}|sentence|text|list|blank & !{tech} & !write
        output|return|answer|respond|reply .. yes|no|true|false|1|0 & !@short & !{tech}
        true or false & !{tech}
        is|are the|this|these|following .. {source}|sentence|statement|claim|tweet|comment|email .. true|false|correct|positive|negative|spam|grammatical|toxic|offensive|factual|subjective|ethical|sarcastic
        choose|select|pick|pick .. topic|category|label|oldest|longest|largest|odd|option & !{tech}
        options|candidates|categories|labels|choices include|are|: & !{tech}
        entities|entity|keywords|hashtags|dates|addresses|names & ^find|identify|list|get|name
        hate|hateful|toxic speech|language|content|word|comment
        ^identify|recognize|recognise|detect the|which|all|each|what & !{tech} & !@math
        sentiment|emotion|tone .. of|this|in|the|expressed|does|is & !write & !explain
        what|which emotion|sentiment|tone|category|class|label|topic|genre|intent|type .. this|the|does|is|following|best|should & !explain & !explain
        spam or|and not|ham
        positive|negative or|and|,? negative|positive|neutral & !number & !integers
        positive , negative|neutral
        named entity|entities
        part|parts of speech
        {label} or {label}|not
        assign .. to|one|category|label|score
        into|of|to|to one|these|the|following|two|three of? .. categories|classes|groups|labels|buckets
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
        extract|classify|categorize|categorise|classification|labels|taxonomy & !how & !{tech}
        mentioned in|along|above|below & list|find|identify|all
        ^list|return|find .. names|dates|addresses|numbers|entities|locations|companies|people|places|keywords .. in|from|mentioned|below
        ^list .. mentioned""",
    0.6: """
        label|category|categories|sentiment""",
}

STATUS: Table = {
    3.0: """
        is|are the|my|our|this|all? .. {service} .. up|down|running|online|offline|alive|working|ready|busy|reachable|responding|available|healthy|connected|operational|loaded|back|finished|complete|completed|done|live|stuck|slow & @short
        is|are|has|did .. {service} up|down|running|online|offline|alive|working|ready|busy|reachable|responding|available|healthy|finished|completed|succeed|fail|failed|succeeded|connected & @short
        yes or no & @short
        ^status
        status of|report|check|update|please & @short & !marital & !social
        system|server|service|current|backup|job|health|build|network status|check|health
        ^test|testing|ping|uptime & @tiny
        are you still? there|here|up|awake|alive|online|working|ready|running|ok|listening|available & @tiny
        is it|everything|anything|anyone|this|that up|down|working|ok|okay|running|online|there|fine|ready|alive|done|broken|on & @short
        is everything|all ok|okay|fine|good|working|up
        how is|are the|my|our? {service} doing|going|holding & @short
        does|do|did the|my|our {service} respond|work|answer|run|start|finish|load & @short
        has|have|did the|my|our {service}|update|upgrade|build|backup|download|upload .. finished|finish|complete|completed|done|succeed|succeeded|failed|fail|run|start|started & @short
        uptime & @short""",
    1.0: "uptime|downtime|heartbeat|outage",
}

CHAT: Table = {
    2.6: """
        how are|is|was|r you|ya|u|things|life|your & @short
        how is it|your|life|everything|things & @short
        what is up|new|happening|cooking & @tiny
        what are you up|doing|wearing
        your thoughts|views|take|mood|name|age|favourite|favorite|job|hobby|hobbies|birthday|opinion|purpose|gender|boss|creator|maker|family|feelings|day|night|weekend|plans
        who made|created|built|designed|programmed|owns|trained|developed you
        who|what|where|how|why are you|u & @short & @question
        what|where|who|when|which|why .. do|did|are|were|can|will|would|have|should you|u & @short & !remember|recall & !{tech} & !call a|an|someone & !say & !need|use|put|add|mix & !get if & !story
        what|where|who|when|which|why .. i|we|they call|name|made|created|built|ask|give .. you|u & @short
        you|your .. name|called|creator|company|owner|hobbies|pets|job|boss|age|birthday|language|capabilities|abilities & @short & !remember|recall & !change|set
        you|yourself .. human|robot|person|computer|machine|bot|ai|real|alive & @short
        tell .. about|what|where|who .. you|yourself|your & @short & !know about|remember & !think .. of|about
        let us do|go|start|continue|talk|chat & @tiny
        not|no .. sure|idea|matter|care|preference|problem|worry|worries & @tiny
        well|nicely|good|great|nice done|job|work|one & @tiny
        you|that|it is|are|was|did|got|were .. right|correct|wrong|great|perfect|awesome|good|well|mistaken|incorrect|it & @tiny
        confirm|repeat|clarify|rephrase|elaborate|explain .. that|it|please|again|said|more|last & @tiny
        where do|are|did|were you
        what do you|u think|do|like|want|eat|feel|say|reckon & !remember
        what can|could|should you|i do|ask|help|cook|eat|wear|make|watch
        tell me a|another|some|something joke|jokes|funny|interesting|yourself|fun
        joke|jokes & ^tell|know|say|another|hear|do|give & !write
        joke|jokes & @tiny & !write
        ^thank|thanks|thankyou|thx|cheers & @short
        ^good morning|afternoon|evening|night|day|bye & @tiny
        ^goodnight|goodbye|bye|ciao|farewell|later & @tiny
        see you|ya
        nice|good|great|lovely to|meeting|talking|chatting meet|see|you|hear|talk
        you are so|very|the|not|really|my|funny|awesome|smart|great|amazing|stupid|wrong|cute|best|annoying & @tiny
        i love|hate|like|miss you & @tiny
        weather|forecast|temperature|umbrella|humid|humidity|raining|snowing|sunny & {ask}|is|will|do|should|show|tell|does|today|tomorrow|going & @short & !difference & !climate & !^why & !^set & !^explain
        rain|snow & will|is|today|tomorrow|did|going|this & @short & !^why & !^explain
        what time|date|day is it|in|at
        what is the? time|date & @short & !complexity
        what day|month is it|today|tomorrow
        news|headlines & any|what|latest|tell|give|today|show|the|good|happening & @short & !{source}
        traffic & how|is|what|the & @short
        how|where .. nearest|closest|next|away & @short
        nearest|closest & @short
        are|can|could you|we friends|talk|chat
        can we talk|chat
        say again|that
        could|can you repeat
        ^that is|was & @tiny
        recommend .. movie|book|show|restaurant|restaurants|song|place|series|film|game
        any .. recommendations|plans|advice|tips|suggestions & @short""",
    1.4: """
        ^i am|feel|felt & @statement
        ^i had|just|got|have|was|have|went|love|hate|like|miss|finally|can|think|guess|hope|wish|feel|believe & @statement
        ^i|my|we|our & @statement & !@numbers & !i|we need|want|would|must
        ^hi|hello|hey|hiya|yo|howdy|greetings|sup & @tiny
        ^yes|no|nope|yep|sure|okay|ok|maybe|cool|wow|lol|haha|hmm|nah|right|great|nice|awesome|perfect|fine|correct|exactly & @tiny
        ^never mind
        ^sorry|apologies
        have a good|great|nice|lovely
        bored|lonely|sad|stressed|anxious|tired|exhausted|happy|excited|upset|depressed|annoyed & ^i|feeling
        advice on|about|for
        ^my|i .. & @tiny & !@question
        ^sing & @tiny
        ^do|did|are|were|can|could|would|have you & @question & @short""",
    0.8: """
        you|your|u & @short & !can you & !could you & !would you
        feel|feeling|feelings|love|hate|friend|friends & @short
        @statement & @short
        ^i|my""",
}

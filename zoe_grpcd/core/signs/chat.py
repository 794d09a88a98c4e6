"""A conversation: greetings, moods, small talk, and about the one who answers."""

from zoe_grpcd.core.signs import Table

SIGNS: Table = {
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

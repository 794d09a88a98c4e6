"""The words behind the phrases: classes such as {device}, polite lead-ins, negators. Data, no behaviour.

The rule: a word stands in a class because of what it names, never to make one prompt come out right.
"""

from collections.abc import Mapping

CLASSES: Mapping[str, frozenset[str]] = {
    name: frozenset(words.split())
    for name, words in {
        "device": """
            light lights lamp lamps bulb bulbs fan fans tv television heater heating heat thermostat ac radio oven stove
            dishwasher washer dryer vacuum roomba hoover robot blinds blind curtains curtain shades shutters door doors
            garage gate lock locks plug plugs socket outlet wemo speaker speakers camera cameras sprinkler sprinklers
            humidifier kettle coffee brightness volume temperature hue wifi bluetooth screen appliances everything bass
            treble air-conditioner conditioner conditioning projector stereo fireplace toaster sound backlight hoovering
            cleaner led machine color colour windows""",
        "room": """
            room kitchen bedroom bathroom hallway hall living garage office study basement attic garden porch house home
            upstairs downstairs nursery dining""",
        "agenda": """
            calendar calendars schedule agenda appointment appointments meeting meetings event events alarm alarms timer
            timers reminder reminders todo todos task tasks list lists playlist playlists note notes email emails mail
            mails inbox voicemail voicemails contact contacts notifications notification reservation reservations""",
        "errand": """
            taxi cab uber lyft ride table reservation flight flights hotel room ticket tickets train car seat seats
            appointment haircut massage pizza takeaway takeout food sushi delivery dinner lunch rental trip vacation""",
        "media": """
            song songs music track tracks playlist playlists album albums radio podcast podcasts audiobook audiobooks
            station channel video videos movie movies episode jazz rock pop tune tunes hits band artist""",
        "money": """
            dollars dollar bucks euros pounds money bill bills balance payment rent account checking savings card paycheck""",
        "language": """
            english spanish french german italian portuguese dutch polish russian greek arabic hebrew chinese mandarin
            cantonese japanese korean hindi turkish vietnamese swedish norwegian danish finnish czech hungarian romanian
            ukrainian thai indonesian latin urdu bengali swahili persian farsi tagalog malay croatian serbian bulgarian
            catalan welsh irish gaelic esperanto icelandic tamil punjabi hawaiian lithuanian""",
        "country": """
            spain france germany italy portugal brazil netherlands holland poland russia greece egypt israel china japan
            korea india turkey vietnam sweden norway denmark finland mexico argentina thailand iceland french spanish
            german italian russian japanese chinese""",
        "program": """
            function functions program script method code snippet algorithm class subroutine decorator query regex
            regexp dockerfile makefile component endpoint cli api parser compiler macro lambda constructor iterator
            generator stylesheet webpage website crawler scraper unittest struct interface
            app application applications bot plugin compiler simulator""",
        "tech": """
            python python3 javascript typescript java kotlin golang c++ c# cpp perl php haskell scala lua
            matlab bash powershell sql mysql postgres postgresql sqlite mongodb html css vue angular django
            fastapi nodejs npm pip git github gitlab docker kubernetes kubectl linux ubuntu regex regexp
            pandas numpy pytorch tensorflow matplotlib dataframe jquery ajax http api graphql webpack cmake
            makefile vim emacs terraform ansible nginx apache redis selenium pytest unittest cron crontab dockerfile
            asyncio tkinter sqlalchemy hibernate vba hadoop aws flexbox bootstrap
            intellij xcode android ios laravel wordpress jvm maven gradle jupyter conda virtualenv opencv""",
        "format": "json yaml xml csv markdown",
        "structure": """
            array arrays string strings integer integers int dict dictionary dictionaries tuple tuples hashmap hash boolean
            char byte bytes pointer pointers variable variables loop loops iterator recursion recursive function functions
            object objects class classes method methods module modules exception exceptions thread threads process regex
            substring substrings palindrome matrix binary tree graph node nodes stack queue heap linked list lists sublist
            element elements element-wise index indices column columns row rows div button file files directory folder
            branch commit commits merge rebase container database table tables parameter parameters argument arguments
            number numbers float hex ascii vowels""",
        "trouble": """
            error errors exception traceback bug bugs crash crashes segfault segmentation nullpointerexception typeerror
            valueerror keyerror attributeerror importerror syntaxerror indexerror nameerror modulenotfounderror stacktrace
            undefined eresolve crashloopbackoff""",
        "prose": """
            story stories poem poems haiku sonnet limerick ballad ode song lyrics rap jingle verse novel fable myth
            legend fairytale fairy tale scene screenplay script monologue dialogue diary essay blog post article letter
            email memo speech toast eulogy vows slogan tagline caption captions tweet advertisement ad description review
            paragraph narrative chapter prologue backstory anecdote play sketch parody headline title bio newsletter
            announcement thank-you greeting cover pun puns riddle joke manifesto proposal journal obituary invitation
            plot""",
        "verse": """
            story stories poem poems haiku sonnet limerick ballad ode lyrics rap jingle verse fable myth fairytale
            screenplay monologue eulogy slogan slogans tagline taglines catchphrase parody memoir villanelle acrostic""",
        "source": """
            text document documents article passage paragraph report contract manual paper file files pdf book chapter email
            letter story review transcript handbook policy agreement attachment notes excerpt page context essay thread
            memo dialogue conversation memo blog post meeting speech lecture abstract note minutes discussion""",
        "reference": """
            text document documents article passage paragraph report contract manual paper pdf transcript handbook policy
            agreement attachment excerpt context information info data material source sources reference""",
        "person": """
            mom mum mother dad father brother sister wife husband son daughter grandma grandpa uncle aunt cousin friend
            boss doctor dentist neighbor neighbour kids children partner girlfriend boyfriend mom's mum's mother's dad's
            father's brother's sister's wife's husband's son's daughter's grandma's grandpa's uncle's aunt's friend's
            boss's girlfriend's boyfriend's partner's""",
        "service": """
            service services server servers system systems api website websites site database databases db cluster backend model models gpu network
            internet connection build deploy deployment job pipeline vpn host node daemon app application mail router
            gateway queue disk update backup jenkins process printer cloud online""",
        "label": """
            positive negative neutral spam ham toxic sarcastic formal informal fact opinion true false urgent relevant
            entailment contradiction duplicate grammatical acceptable happy sad angry""",
        "ask": "what how why when where who which whose",
        "number": """
            two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen twenty thirty forty fifty
            hundred thousand half twice double triple dozen third quarter""",
        "unit": """
            inches feet foot miles mile meters metres kilometers km cm kg grams pounds ounces cups gallons liters litres
            inch mile meter metre kilometer kilo kilos kilogram kilograms gram pound ounce cup gallon liter litre centimeter
            centimeters millimeters milliliters teaspoon tablespoon yard yards acre acres stone degrees euros dollars yen
            teaspoons tablespoons celsius fahrenheit kelvin minutes seconds hours days weeks months years percent""",
    }.items()
}

LEADS: tuple[str, ...] = (
    *"please pls hey hi hello ok okay zoe alexa siri google olly cortana computer assistant kindly just so well um uh".split(),
    *"actually also now yes yeah yep oh alright hmm quickly maybe first next finally and sure thanks".split(),
    *(
        "can you",
        "could you",
        "would you",
        "will you",
        "can you please",
        "could you please",
        "would you please",
    ),
    *(
        "would you mind",
        "do you mind",
        "can i",
        "could i",
        "may i",
        "can we",
        "could we",
        "you should",
        "you can",
    ),
    *("i want you to", "i need you to", "i would like you to", "i want to", "i need to", "i would like to"),
    *(
        "i really need you to",
        "i really want you to",
        "i must",
        "we need to",
        "please help me",
        "can you help me",
    ),
    *(
        "could you help me",
        "i really want to",
        "i wanna",
        "help me to",
        "help me",
        "let us",
        "go ahead and",
        "make sure to",
    ),
    *(
        "make sure you",
        "be sure to",
        "remember to",
        "do not forget to",
        "do me a favor and",
        "do me a favour and",
    ),
    *(
        "why do not you",
        "your task is to",
        "you need to",
        "you must",
        "you have to",
        "i have to",
        "try to",
        "and then",
    ),
    *(
        "i would love to",
        "i would love to",
        "i will need you to",
        "is it possible to",
        "are you able to",
        "i would love it if you",
    ),
    *(
        "time to",
        "it is time to",
        "it is time to",
        "you are to",
        "i am going to",
        "good morning",
        "if you can",
    ),
)
"""What people put before a command; a clause still begins behind it."""

NEGATORS = frozenset("not never without no nor".split())
"""Behind one of these a sign does not count."""

SOFTENERS = frozenset("to ever really even please just want need the a any be".split())
"""May stand between a negator and what it negates."""

CONTRACTIONS: Mapping[str, tuple[str, ...]] = {
    **{
        f"{word}{short}s": (word, "is")
        for word in "what how when where who why it that there here".split()
        for short in ("'", "")
        if f"{word}{short}s" != "its"
    },
    **{f"{word}'re": (word, "are") for word in "you we they what who".split()},
    **{f"{word}'ve": (word, "have") for word in "i you we they".split()},
    **{f"{word}'ll": (word, "will") for word in "i you we they it he she".split()},
    **{f"{word}'d": (word, "would") for word in "i you we they he she".split()},
    **{
        f"{word}n{short}t": (word, "not")
        for word in "do does did is are was were have has could would should".split()
        for short in ("'", "")
    },
    **dict.fromkeys(("can't", "cant", "cannot"), ("can", "not")),
    **dict.fromkeys(("i'm", "im"), ("i", "am")),
    **dict.fromkeys(("let's", "lets"), ("let", "us")),
    "won't": ("will", "not"),
    "youre": ("you", "are"),
    "ive": ("i", "have"),
}
"""Written out before phrases are looked for, so that a phrase says `what is` and finds "what's" too."""

COMMON = frozenset(
    """the of and to in is are was were be been i you he she it we they me my your his her its our their this that these
    those a an on at for with from by as or but not no do does did have has had can could will would should may might
    must what who whom which when where why how if then than there here all any some more most very just also about
    into over after before up down out off please thanks hello hi hey play set turn add make get give tell show find
    write read call send open stop start put let say go know think want need like time day new good one two first last
    list music song today tomorrow yes ok explain describe translate summarize classify code function name old long
    am me so us use work word words story help man men die son hat met war fin bin per sale van dan pan sol come dove
    due male sera age six bad fast grand dig rode side ring led vi ham hen du de la le el san los las del von und""".split()
)
"""Frequent English words, and foreign function words that are English words too."""

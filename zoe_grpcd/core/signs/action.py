"""Something is to be done: a reminder, a device, a message, an order."""

from zoe_grpcd.core.signs import Table

SIGNS: Table = {
    9.0: "@tools",
    2.4: """
        ^add|put|write|note|append|jot .. to|on|onto|in|down|into .. {agenda}
        ^remind me & !^remind me what|who|where|how|why|which|again
        ^add|put|include|save & my|the|to|on|onto & playlist|playlists & !write
        ^rate|give & stars|star|points|point|rating & @short & !write & !review
        ^rate|give & out of 5|6|five|six|ten & @short & !@question & !review
        i would|will rate|give & stars|star|points|point|out & @short
        ^find|search|locate|show|look|get|want|need & song|album|novel|saga|trailer|soundtrack|showtimes|painting|tv & @short & !write & !{tech} & !@question & !about
        movie|movies|film|films & times|schedule|schedules|showtimes|nearby|theatre|theater|theatres|theaters|cinema|cinemas & @short & !write & !why & !explain & !history
        want|would|like .. eat|dine at|in|near|by|somewhere & @short & !how & !what
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

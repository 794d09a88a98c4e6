"""Whether something runs."""

from zoe_grpcd.core.signs import Table

SIGNS: Table = {
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

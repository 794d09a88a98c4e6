"""Something to be understood: what it is, how it works, why."""

from zoe_grpcd.core.signs import Table

SIGNS: Table = {
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

"""Something to be worked out: numbers, proofs, puzzles, what to choose."""

from zoe_grpcd.core.signs import Table

SIGNS: Table = {
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

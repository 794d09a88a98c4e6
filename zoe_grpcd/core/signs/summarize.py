"""A text made short."""

from zoe_grpcd.core.signs import Table

SIGNS: Table = {
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

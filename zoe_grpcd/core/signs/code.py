"""Programs: to write one, to mend one, to understand one."""

from zoe_grpcd.core.signs import Table

SIGNS: Table = {
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
        parse|parsing|parser|validate|serialize|deserialize|load|loading|read|decode|import|export|merge|flatten|query|pretty .. {format} & !@foreign
        {format} file|files|schema|parser|string|strings|object|objects|array|column|columns|key|keys|library|to|into & !in|as|to {format} file
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

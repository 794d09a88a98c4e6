"""From one language to another."""

from zoe_grpcd.core.signs import Table

SIGNS: Table = {
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

"""Files that grow: of decisions without a word of what was said, and, if the operator names one, of what was said.

`lines` is the format of decisions, `recorder` writes it, `zoe_grpcd.replay` decides anew from it; `prompts` is the other.
Both are written beside the event loop (`writer`), and put aside when they are large (`file`).
"""

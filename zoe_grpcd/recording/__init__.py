"""A file of decisions: what was asked, without its words, the fleet as it was then, and what was chosen.

`lines` is the format, `recorder` writes it beside the event loop, `zoe_grpcd.replay` decides anew from it.
"""

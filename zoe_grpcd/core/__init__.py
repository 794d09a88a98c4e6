"""The pure core: no clock, no log, no network, no proto, no asyncio. Time is an argument.

Nobody changes a value that somebody else made. Those that last are frozen; those that are made anew for each request
are not, since freezing doubles what making one costs.

Times are seconds (float), sizes are bytes, rates are seconds per token unless a name says otherwise.
"""

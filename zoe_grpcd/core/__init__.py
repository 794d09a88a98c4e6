"""The pure core: no clock, no log, no network, no proto, no asyncio. Time is an argument."""

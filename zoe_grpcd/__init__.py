"""The daemon: routes LLM requests that arrive over gRPC to the backend that should answer them.

Everything below this package is private to the daemon; its public interface is the protos.
"""

__version__ = "0.1.0"

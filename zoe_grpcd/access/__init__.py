"""Who may call, and how much. Lives on the face's side of the router: it knows keys and clocks, and no gRPC.

Rule: a key is known by its SHA-256 alone, and nothing that leaves this room has one in it.
"""

from zoe_grpcd.access.caller import Caller, Visit
from zoe_grpcd.access.keyring import Access, Credential, digest_of

__all__ = ["Access", "Caller", "Credential", "Visit", "digest_of"]

"""The daemon as a user service under a manager of its own, and what clients can reach of it."""

from dataclasses import dataclass

from usermanager import UserManager

from zoe_client import Client

UNIT = "zoe-grpcd.service"


@dataclass
class Service:
    """The installed service and where it is reached from outside the manager's namespaces."""

    manager: UserManager
    port: int

    @property
    def tcp(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def unix(self) -> str:
        return f"unix:{self.manager.runtime}/zoe-grpcd/grpcd.sock"

    def show(self) -> dict[str, str]:
        return self.manager.show(UNIT)

    def pid(self) -> int:
        return int(self.show()["MainPID"])

    def client(self, target: str = "") -> Client:
        return Client(target or self.unix, timeout=30, max_retries=0)

    def running(self) -> dict[str, str]:
        """Starts it if it does not run; returns its properties."""
        self.manager.systemctl("reset-failed", check=False)
        self.manager.systemctl("start", "zoe-grpcd.socket", UNIT)
        return self.show()

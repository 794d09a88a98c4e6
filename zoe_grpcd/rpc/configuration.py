"""GetConfig and ReloadConfig: what is in force, and what the file would change."""

from zoe.admin.v1 import admin_service_pb2 as pb
from zoe_grpcd.ports import Configuration
from zoe_grpcd.rpc.admin_encode import timestamp
from zoe_grpcd.rpc.guard import Context, Handler


class Configured:
    """Answers what is asked of the configuration."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    def handlers(self) -> dict[str, Handler]:
        """The methods of the admin service that are answered here."""
        return {"GetConfig": self.get_config, "ReloadConfig": self.reload_config}

    async def get_config(self, request: pb.GetConfigRequest, context: Context) -> pb.GetConfigResponse:
        """The configuration in force."""
        now = self._configuration.in_force()
        return pb.GetConfigResponse(
            effective_yaml=now.yaml,
            source_path=now.source,
            sha256=now.sha256,
            generation=now.generation,
            load_time=timestamp(now.since),
        )

    async def reload_config(
        self, request: pb.ReloadConfigRequest, context: Context
    ) -> pb.ReloadConfigResponse:
        """Puts what the file has in force, or says what is wrong with it."""
        done = await self._configuration.reload(validate_only=request.validate_only)
        return pb.ReloadConfigResponse(
            generation=done.generation,
            changes=done.changes,
            warnings=done.warnings,
            restart_required=done.restart_required,
        )

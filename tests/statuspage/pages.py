"""The status page of a stage."""

from rpc.stage import Stage

from zoe_grpcd.statuspage import StatusPage


def page_of(stage: Stage) -> StatusPage:
    fleet, log = stage.fleet, stage.gate.log
    return StatusPage(lambda: [fleet.report(name, log.now()) for name in fleet.names()], log)

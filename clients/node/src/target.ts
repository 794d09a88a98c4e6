/** Where the daemon is: an argument, the environment, or the usual places, in that order. */

import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** The target of the inference service: the argument, `$ZOE_GRPCD_TARGET`, its unix socket, or 127.0.0.1:50051. */
export function inferenceTarget(target?: string): string {
  const chosen = target || process.env["ZOE_GRPCD_TARGET"];
  if (chosen) return chosen;
  const socket = runtimeSocket("grpcd.sock");
  return existsSync(socket) ? `unix:${socket}` : "127.0.0.1:50051";
}

/** The target of the admin service: the argument, or its unix socket. */
export function adminTarget(target?: string): string {
  return target || `unix:${runtimeSocket("admin.sock")}`;
}

/** Whether the target is one server on this machine. */
export function isLocal(target: string): boolean {
  return isSocket(target) || /^(localhost:|127\.|\[::1\]:)/.test(target);
}

/** Whether the target is a unix socket, which stays plain: nobody but its owner reaches it. */
export function isSocket(target: string): boolean {
  return target.startsWith("unix:");
}

function runtimeSocket(name: string): string {
  const user = `/run/user/${process.getuid?.() ?? ""}`;
  const usual = existsSync(user) ? user : join(homedir(), ".cache");
  return join(process.env["XDG_RUNTIME_DIR"] || usual, "zoe-grpcd", name);
}

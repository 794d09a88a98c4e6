// What the package carries besides its code: the protos, and the service config that all clients share.
import { cpSync } from "node:fs";

const root = new URL("../../", import.meta.url);
const dist = new URL("dist/", import.meta.url);
cpSync(new URL("protos/zoe", root), new URL("protos/zoe", dist), { recursive: true });
cpSync(new URL("clients/python/src/zoe_client/service_config.json", root), new URL("service_config.json", dist));

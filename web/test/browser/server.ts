/** The origin of the test pages, on 127.0.0.1: the built files, and what pages put into a capture. */

import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { transform } from "esbuild";
import { example } from "../readme.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url)); // web/
const SERVED = /^\/(build\/browser|dist)\/[\w-]+\.js$/;
/** A page beside the built files, as the example of the README has them. */
const EXAMPLE = /^\/example\/((page|frame-worker)\.js)$/;
/** A peer that bench/ compares with. */
const LIVEKIT = "node_modules/livekit-client/dist/livekit-client.e2ee.worker.mjs";

export interface Server {
  readonly origin: string;
  /** What pages have posted to /capture, line by line. */
  readonly captured: string[];
  close(): Promise<void>;
}

export async function serve(): Promise<Server> {
  const captured: string[] = [];
  const server = createServer((request, response) => {
    answer(request, response, captured).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const close = () => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  };
  return { origin: `http://127.0.0.1:${port}`, captured, close };
}

async function answer(request: IncomingMessage, response: ServerResponse, captured: string[]) {
  const path = request.url ?? "/";
  // Only such pages have a clock of 5 us; others have one of 100 us.
  response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
  response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
  if (request.method === "POST" && path === "/capture") {
    let body = "";
    for await (const part of request) body += part;
    captured.push(...body.split("\n").filter(Boolean));
    response.end();
  } else if (path === "/example/readme.js") {
    response.setHeader("Content-Type", "text/javascript");
    const { code } = await transform(example(), { loader: "ts" });
    response.end(`${code}\nexport { frames, live };`);
  } else if (EXAMPLE.test(path)) {
    response.setHeader("Content-Type", "text/javascript");
    response.end(await readFile(`${ROOT}dist/${EXAMPLE.exec(path)?.[1]}`));
  } else if (SERVED.test(path) || path === "/livekit.js") {
    response.setHeader("Content-Type", "text/javascript");
    response.end(await readFile(ROOT + (SERVED.test(path) ? path : LIVEKIT)));
  } else {
    response.setHeader("Content-Type", "text/html");
    response.end("<!doctype html><title>pysframe</title>");
  }
}

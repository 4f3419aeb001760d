/** The npm package, as a project that installs it has it: types, a bundler, and the worker's file. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { example } from "./readme.js";

const WEB = fileURLToPath(new URL("../..", import.meta.url));
const USER = `
import { CounterStore, FrameWorker, type KeyEvent, publish, supported, watch } from "pysframe-web";
import type { ToWorker } from "pysframe-web/frame-worker.js";

declare const connection: RTCPeerConnection;
declare const camera: MediaStreamTrack;
export function start(event: KeyEvent): Promise<void> {
  if (!supported().transform) throw new Error(supported().words);
  const worker = new Worker(new URL("frame-worker.js", import.meta.url), { type: "module" });
  const frames = new FrameWorker(worker, { counters: new CounterStore() });
  frames.handle(event);
  const report: ToWorker = { kind: "report" };
  worker.postMessage(report);
  const options = { id: "camera", sender: "alice", codec: "video/VP8" };
  const { transceiver, live } = publish(connection, camera, frames, options);
  watch(transceiver.receiver, "camera", frames, (words: string) => console.warn(words));
  return live;
}
`;

/** What the example of the README is given by whoever uses it. */
const GIVEN = `
declare const connection: RTCPeerConnection;
declare const camera: MediaStreamTrack;
declare const baseKey: Uint8Array;
declare const bobsKey: Uint8Array;
`;

/** A project with the packed package in node_modules. */
function project(): string {
  const folder = mkdtempSync(join(tmpdir(), "pysframe-web-"));
  const installed = join(folder, "node_modules", "pysframe-web");
  mkdirSync(installed, { recursive: true });
  const pack = ["pack", "--ignore-scripts", "--silent", "--pack-destination", folder];
  const packed = execFileSync("npm", pack, { cwd: WEB, encoding: "utf8" }).trim();
  execFileSync("tar", ["-xzf", join(folder, packed), "-C", installed, "--strip-components=1"]);
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(join(folder, "user.ts"), USER);
  writeFileSync(join(folder, "readme.ts"), example().replace("./page.js", "pysframe-web") + GIVEN);
  return folder;
}

test("a project can use the package: types, bundle, worker", async () => {
  const folder = project();
  try {
    for (const how of ["nodenext", "bundler"]) {
      const options = ["--noEmit", "--strict", "--target", "es2022", "--types", "", "--lib"];
      const module = how === "bundler" ? "esnext" : how;
      const more = ["es2022,dom", "--module", module, "--moduleResolution", how];
      more.push("user.ts", "readme.ts");
      execFileSync(join(WEB, "node_modules/.bin/tsc"), [...options, ...more], { cwd: folder });
    }
    const entry = join(folder, "user.ts");
    const bundle = { bundle: true, write: false, format: "esm", outfile: "out.js" } as const;
    const { outputFiles } = await build({ ...bundle, entryPoints: [entry], absWorkingDir: folder });
    assert.match(outputFiles[0]?.text ?? "", /RTCRtpScriptTransform/);
    const worker = join(folder, "node_modules/pysframe-web/dist/frame-worker.js");
    assert.deepEqual(readFileSync(worker), readFileSync(join(WEB, "dist/frame-worker.js")));
    const { exports } = JSON.parse(readFileSync(join(WEB, "package.json"), "utf8"));
    for (const path of Object.values(exports["./frame-worker.js"]) as string[]) {
      readFileSync(join(folder, "node_modules/pysframe-web", path));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

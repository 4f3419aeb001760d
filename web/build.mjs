/**
 * Tests and types by tsc into build/ and dist/types/; one ES module each for worker and page, and the
 * tests that run in a browser in build/browser/.
 */

import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const tsc = (...options) => execFileSync("node_modules/.bin/tsc", options, { stdio: "inherit" });

process.chdir(new URL(".", import.meta.url).pathname);
for (const made of ["build", "dist"]) rmSync(made, { recursive: true, force: true });
tsc();
tsc("-p", "tsconfig.worker.json");
tsc("-p", "tsconfig.types.json");
// A worker exports nothing: its types are what is said to it and by it.
writeFileSync("dist/types/frame-worker.d.ts", 'export type * from "./messages.js";\n');
await build({
  entryPoints: ["frame-worker.ts", "page.ts"],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  outdir: "dist",
  legalComments: "none",
});
const VECTORS = Object.fromEntries(
  [
    ...["rfc9605.json", "ratchet_and_ssrc.json", "envelope.json"],
    ...["key_flow_states.json", "media_in_clear.json"],
  ].map((name) => [name, JSON.parse(readFileSync(`../vectors/${name}`, "utf8"))]),
);
const shim = (name) => `./test/browser/shim/${name}.ts`;
await build({
  entryPoints: [
    ...["pure-tests", "media-page", "capture-worker", "key-worker"].map(
      (name) => `test/browser/${name}.ts`,
    ),
    ...["frames", "latency", "timed-worker"].map((name) => `bench/${name}.ts`),
  ],
  entryNames: "[name]",
  bundle: true,
  format: "esm",
  target: "es2022",
  outdir: "build/browser",
  define: { VECTORS: JSON.stringify(VECTORS) },
  alias: {
    "node:test": shim("test"),
    "node:assert/strict": shim("assert"),
    "node:fs": shim("fs"),
  },
});

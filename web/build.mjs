/** Tests and types by tsc into build/ and dist/types/; one ES module each for worker and page. */

import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { build } from "esbuild";

const tsc = (...options) => execFileSync("node_modules/.bin/tsc", options, { stdio: "inherit" });

process.chdir(new URL(".", import.meta.url).pathname);
for (const made of ["build", "dist"]) rmSync(made, { recursive: true, force: true });
tsc();
tsc("-p", "tsconfig.worker.json");
tsc("-p", "tsconfig.types.json");
await build({
  entryPoints: ["frame-worker.ts", "page.ts"],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  outdir: "dist",
  legalComments: "none",
});

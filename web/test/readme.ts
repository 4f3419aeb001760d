/** The example of web/README.md. */

import { readFileSync } from "node:fs";

export function example(): string {
  const text = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const blocks = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code as string);
  if (blocks.length !== 1) throw new Error(`${blocks.length} examples in web/README.md`);
  return blocks[0] as string;
}

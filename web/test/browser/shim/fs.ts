/** node:fs for a browser: the files of vectors/, put into the bundle by build.mjs. */

declare const VECTORS: Record<string, unknown>;

export function readFileSync(path: URL): string {
  const name = path.pathname.split("/").at(-1) as string;
  if (!(name in VECTORS)) throw new Error(`${name} is not in the bundle`);
  return JSON.stringify(VECTORS[name]);
}

/** node:assert/strict for a browser: as much as the tests of web/ use. */

function fail(words: unknown): never {
  throw new Error(`assertion failed: ${words}`);
}

function ok(value: unknown, words: unknown = "not ok"): void {
  if (!value) fail(words);
}

function equal(a: unknown, b: unknown, words?: unknown): void {
  if (!Object.is(a, b)) fail(words ?? `${String(a)} is not ${String(b)}`);
}

function notEqual(a: unknown, b: unknown): void {
  if (Object.is(a, b)) fail(`both are ${String(a)}`);
}

function deepEqual(a: unknown, b: unknown): void {
  if (!same(a, b)) fail(`${show(a)} is not ${show(b)}`);
}

function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || !a || !b) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (a instanceof Set) return same([...a].sort(), [...(b as Set<unknown>)].sort());
  const [left, right] = [Object.entries(a), new Map(Object.entries(b))];
  return (
    left.length === right.size &&
    left.every(([key, value]) => {
      return right.has(key) && same(value, right.get(key));
    })
  );
}

function show(value: unknown): string {
  return JSON.stringify(value, (_, part) => (typeof part === "bigint" ? `${part}n` : part)) ?? "";
}

function match(text: string, pattern: RegExp): void {
  if (!pattern.test(text)) fail(`${JSON.stringify(text)} does not match ${pattern}`);
}

type Kind = new (...args: never[]) => Error;
type Expected = RegExp | Kind | ((error: unknown) => boolean) | Record<string, unknown>;

function fits(error: unknown, expected: Expected): boolean {
  if (expected instanceof RegExp) return expected.test(String(error));
  if (typeof expected !== "function") {
    return Object.entries(expected).every(([name, value]) => {
      return same((error as Record<string, unknown>)[name], value);
    });
  }
  const isKind = expected === Error || expected.prototype instanceof Error;
  if (isKind) return error instanceof (expected as Kind);
  return (expected as (error: unknown) => boolean)(error);
}

function thrown(error: unknown, expected?: Expected): void {
  if (expected && !fits(error, expected)) fail(`threw ${String(error)}`);
}

function throws(call: () => unknown, expected?: Expected): void {
  try {
    call();
  } catch (error) {
    thrown(error, expected);
    return;
  }
  fail("nothing was thrown");
}

async function rejects(promise: Promise<unknown> | (() => Promise<unknown>), expected?: Expected) {
  try {
    await (typeof promise === "function" ? promise() : promise);
  } catch (error) {
    thrown(error, expected);
    return;
  }
  fail("nothing was thrown");
}

export default { fail, ok, equal, notEqual, deepEqual, match, throws, rejects };

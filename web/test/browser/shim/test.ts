/** node:test for a browser: as much as the tests of web/ use. Tests run one after the other. */

type Body = (context: { diagnostic(words: string): void }) => unknown;

export interface Outcome {
  readonly name: string;
  /** Null: it passed. */
  readonly error: string | null;
}

const registered: [string, Body][] = [];

export function test(name: string, body: Body): void {
  registered.push([name, body]);
}

export async function run(): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const [name, body] of registered) outcomes.push({ name, error: await errorOf(body) });
  return outcomes;
}

async function errorOf(body: Body): Promise<string | null> {
  try {
    await body({ diagnostic: () => {} });
    return null;
  } catch (error) {
    return error instanceof Error ? `${error.message}\n${error.stack}` : String(error);
  }
}

type Functions = Record<string, (...args: unknown[]) => unknown>;

export const mock = {
  /** Counts the calls of a method, which does what it did. */
  method(target: object, name: string) {
    const methods = target as Functions;
    const original = methods[name] as (...args: unknown[]) => unknown;
    let calls = 0;
    methods[name] = (...args) => {
      calls++;
      return original.apply(target, args);
    };
    return {
      mock: { callCount: () => calls, restore: () => Reflect.deleteProperty(target, name) },
    };
  },
};

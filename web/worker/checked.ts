/**
 * Key events as they come over a port. Pages in plain JavaScript send them, too, and no compiler has
 * looked at those: `kid: 7` for `7n` is told in words.
 *
 * Rule: the words name a field and its type, and never repeat what stands in it.
 */

import type { KeyEvent } from "../messages.js";
import { MisuseError } from "../sframe/errors.js";

/** What a field is, in words, and whether a value is it. */
type Field = readonly [string, (value: unknown) => boolean];

const isWhole = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;

const NAME: Field = ["a name", (value) => typeof value === "string" && value !== ""];
const BIGINT: Field = ["a bigint, such as 7n", (value) => typeof value === "bigint"];
const WHOLE: Field = ["a whole number", isWhole];
const BYTES: Field = ["a Uint8Array", (value) => value instanceof Uint8Array];
const FLAG: Field = ["true or false", (value) => typeof value === "boolean"];
const INDEX: Field = ["a whole number, or null", (value) => value === null || isWhole(value)];

const KEY = { sender: NAME, suite: WHOLE, baseKey: BYTES };
const KID = { sender: NAME, kid: BIGINT };
const FIELDS: Record<KeyEvent["kind"], Record<string, Field>> = {
  InstallKey: { ...KEY, kid: BIGINT, mine: FLAG },
  InstallSenderKey: { ...KEY, generation: BIGINT, step: WHOLE, mine: FLAG },
  InstallEpoch: { ...KEY, epoch: BIGINT, senderBits: WHOLE, senders: WHOLE, myIndex: INDEX },
  Use: KID,
  Drop: KID,
};

/** Throws MisuseError for what is no key event; a key in it is wiped. */
export function requireKeyEvent(event: KeyEvent): void {
  const values: Readonly<Record<string, unknown>> = { ...event };
  const { kind: named, baseKey } = values as { kind?: unknown; baseKey?: unknown };
  const kind = String(named);
  const fields = Object.hasOwn(FIELDS, kind) ? FIELDS[kind as KeyEvent["kind"]] : undefined;
  const wrong = fields && Object.entries(fields).find(([name, [, is]]) => !is(values[name]));
  if (fields && !wrong) return;
  if (baseKey instanceof Uint8Array) baseKey.fill(0);
  if (!wrong) throw new MisuseError("a key event of an unknown kind");
  throw new MisuseError(`${wrong[0]} of ${kind} is ${wrong[1][0]}`);
}

/**
 * Which way each base_key is used, and for whom: RFC 9605 4.4.1.
 *
 * Rule: two parties never seal under one key. Whose frames are opened with a key seals under it; so a
 * key that opens somebody's frames does not seal for anybody else, nor the reverse. A key that is
 * dropped has been used all the same: its name, of 16 bytes, stays.
 */

import type { Install } from "../messages.js";
import { MisuseError } from "../sframe/errors.js";

/** By the names of base_keys, for whom: Sets, since one key may come under several names. */
type Uses = Map<string, Set<string>>;

export class Directions {
  readonly #sealing: Uses = new Map();
  readonly #opening: Uses = new Map();

  /** Throws MisuseError where the key is used the other way for somebody else. */
  check(name: string, event: Install): void {
    if (seals(event)) refuse(this.#opening.get(name), event.sender, "opens");
    if (opens(event)) refuse(this.#sealing.get(name), event.sender, "seals");
  }

  note(name: string, event: Install): void {
    if (seals(event)) note(this.#sealing, name, event.sender);
    if (opens(event)) note(this.#opening, name, event.sender);
  }
}

function seals(event: Install): boolean {
  return event.kind === "InstallEpoch" ? event.myIndex !== null : event.mine;
}

function opens(event: Install): boolean {
  return event.kind === "InstallEpoch" || !event.mine;
}

function refuse(others: ReadonlySet<string> | undefined, sender: string, does: string): void {
  if (![...(others ?? [])].some((other) => other !== sender)) return;
  throw new MisuseError(
    `this base_key ${does} another sender's frames here: no key is for both ways (RFC 9605 4.4.1)`,
  );
}

function note(uses: Uses, name: string, sender: string): void {
  const senders = uses.get(name) ?? new Set();
  uses.set(name, senders.add(sender));
}

/**
 * The keys of everybody in a call, by the name of whose frames they are for.
 *
 * Rules:
 *   1. Key events take effect one after the other, in the order they came, although each has to wait
 *      for WebCrypto: a Drop never overtakes the InstallKey before it.
 *   2. A base_key is wiped as soon as it has been imported, whatever comes of it.
 *   3. One Sender seals under a key, however many tracks there are; `Use` names it.
 */

import type { KeyEvent } from "../messages.js";
import type { CounterPort } from "../sframe/counters.js";
import { BaseKey, FrameKey, kidOfStep, MisuseError, Receiver, Sender } from "../sframe/index.js";

/** pysframe's layout for sender keys: R = 8. */
const LAYOUT = { ratchetBits: 8, maxSteps: 200 };
const SHORT = { allowShortTags: true };

interface Sealing {
  readonly senders: Map<bigint, Sender>;
  current?: Sender;
}

export class Parties {
  readonly #sealing = new Map<string, Sealing>();
  readonly #opening = new Map<string, Receiver>();
  #last: Promise<void> = Promise.resolve();

  constructor(private readonly counters: CounterPort) {}

  /** Whom to seal with now; undefined while there is no key. */
  senderOf(name: string): Sender | undefined {
    return this.#sealing.get(name)?.current;
  }

  receiverOf(name: string): Receiver | undefined {
    return this.#opening.get(name);
  }

  handle(event: KeyEvent): Promise<void> {
    const done = this.#last.then(() => this.#apply(event));
    this.#last = done.catch(() => {});
    return done;
  }

  async #apply(event: KeyEvent): Promise<void> {
    switch (event.kind) {
      case "InstallKey":
      case "InstallSenderKey":
        return this.#install(event);
      case "Use":
        return this.#use(event.sender, event.kid);
      case "Drop":
        return this.#drop(event.sender, event.kid);
      default:
        throw new MisuseError("a key event of an unknown kind");
    }
  }

  async #install(event: Extract<KeyEvent, { baseKey: Uint8Array }>): Promise<void> {
    try {
      const base = await BaseKey.from(event.suite, event.baseKey);
      await (event.mine ? this.#installMine(event, base) : this.#installTheirs(event, base));
    } finally {
      event.baseKey.fill(0);
    }
  }

  async #installMine(
    event: Extract<KeyEvent, { baseKey: Uint8Array }>,
    base: BaseKey,
  ): Promise<void> {
    const kid =
      event.kind === "InstallKey"
        ? event.kid
        : kidOfStep(event.generation, event.step, LAYOUT.ratchetBits);
    const sealing: Sealing = this.#sealing.get(event.sender) ?? { senders: new Map() };
    const sender = await Sender.create(await FrameKey.derive(base, kid), this.counters, SHORT);
    // A key that is set twice gets a Sender with counters of its own; the old one seals no more.
    const before = sealing.senders.get(kid);
    before?.close();
    if (before && sealing.current === before) sealing.current = sender;
    sealing.senders.set(kid, sender);
    this.#sealing.set(event.sender, sealing);
  }

  async #installTheirs(
    event: Extract<KeyEvent, { baseKey: Uint8Array }>,
    base: BaseKey,
  ): Promise<void> {
    const receiver = this.#opening.get(event.sender) ?? new Receiver(event.suite, SHORT);
    if (event.kind === "InstallKey") {
      receiver.addKey(await FrameKey.derive(base, event.kid));
    } else {
      receiver.addSenderKey(event.generation, base, { ...LAYOUT, step: event.step });
    }
    this.#opening.set(event.sender, receiver);
  }

  #use(name: string, kid: bigint): void {
    const sealing = this.#sealing.get(name);
    const sender = sealing?.senders.get(kid);
    if (!sealing || !sender) throw new MisuseError("Use names a KID that was not installed");
    sealing.current = sender;
  }

  #drop(name: string, kid: bigint): void {
    const receiver = this.#opening.get(name);
    // A KID of a sender key stands for its whole generation.
    if (!receiver?.removeKey(kid)) receiver?.removeSenderKey(kid >> BigInt(LAYOUT.ratchetBits));
    const sealing = this.#sealing.get(name);
    const sender = sealing?.senders.get(kid);
    sender?.close();
    sealing?.senders.delete(kid);
    if (sealing && sealing.current === sender) delete sealing.current;
  }
}

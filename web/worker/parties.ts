/**
 * The keys of everybody in a call, by the name of whose frames they are for.
 *
 * Rules:
 *   1. Key events take effect one after the other, in the order they came, although each has to wait
 *      for WebCrypto: a Drop never overtakes the InstallKey before it.
 *   2. A base_key is wiped as soon as it has been imported, whatever comes of it.
 *   3. One Sender seals under a key, however many tracks there are; `Use` names it.
 *   4. A base_key that seals for one sender opens nobody else's frames, and the reverse, as long as the
 *      worker lives. RFC 9605 4.4.1: "senders and receivers need to agree on whether a base_key will be
 *      used for encryption or decryption only". Who listens to their own frames is one sender.
 *   5. Suites with 4-byte tags are for those events that ask for them: RFC 9605 7.5.
 */

import { requireVersion } from "../codecs/envelope.js";
import type { Install, InstallEpoch, InstallKey, InstallSenderKey, KeyEvent } from "../messages.js";
import type { CounterPort } from "../sframe/counters.js";
import { lowOf } from "../sframe/epoch.js";
import { requireAllowed } from "../sframe/frame.js";
import {
  BaseKey,
  FrameKey,
  kidOfMember,
  kidOfStep,
  MisuseError,
  Receiver,
  Sender,
  suiteOf,
} from "../sframe/index.js";
import { requireKeyEvent } from "./checked.js";
import { Directions } from "./directions.js";

/** pysframe's layouts: R = 8 for sender keys, E = 4 for epochs. */
const LAYOUT = { ratchetBits: 8, maxSteps: 200 };
const EPOCH_BITS = 4;
/** Of those that were allowed. */
const SHORT = { allowShortTags: true };
/** Of a Receiver that has no key yet. */
const FIRST_SUITE = 4;

interface Sealing {
  readonly senders: Map<bigint, Sender>;
  /** KIDs of those that are an epoch's: a Drop of the epoch may name another member's. */
  readonly ofEpochs: Set<bigint>;
  current?: Sender;
}

export class Parties {
  readonly #sealing = new Map<string, Sealing>();
  readonly #opening = new Map<string, Receiver>();
  /** Those in #opening that were given a key. */
  readonly #keyed = new Set<string>();
  readonly #directions = new Directions();
  #last: Promise<void> = Promise.resolve();

  constructor(private readonly counters: CounterPort) {}

  /** Whom to seal with now; undefined while there is no key. */
  senderOf(name: string): Sender | undefined {
    return this.#sealing.get(name)?.current;
  }

  /** Before there is a key its Receiver opens nothing, and knows what came. */
  receiverOf(name: string): Receiver {
    const receiver = this.#opening.get(name) ?? new Receiver(FIRST_SUITE);
    this.#opening.set(name, receiver);
    return receiver;
  }

  handle(event: KeyEvent): Promise<void> {
    const done = this.#last.then(() => this.#apply(event));
    this.#last = done.catch(() => {});
    return done;
  }

  async #apply(event: KeyEvent): Promise<void> {
    requireKeyEvent(event);
    switch (event.kind) {
      case "InstallKey":
      case "InstallSenderKey":
      case "InstallEpoch":
        return this.#install(event);
      case "Use":
        return this.#use(event.sender, event.kid);
      case "Drop":
        return this.#drop(event.sender, event.kid);
    }
  }

  async #install(event: Install): Promise<void> {
    try {
      requireVersion(event.envelope);
      requireAllowed(suiteOf(event.suite), event.allowShortTags === true);
      const base = await BaseKey.from(event.suite, event.baseKey);
      const name = await base.name();
      this.#directions.check(name, event);
      if (event.kind === "InstallEpoch") await this.#installEpoch(event, base, name);
      else if (event.mine) await this.#installMine(event.sender, base, kidOf(event));
      else await this.#installTheirs(event, base);
      this.#directions.note(name, event);
    } finally {
      event.baseKey.fill(0);
    }
  }

  async #installMine(name: string, base: BaseKey, kid: bigint, ofEpoch = false): Promise<void> {
    const sealing: Sealing = this.#sealing.get(name) ?? { senders: new Map(), ofEpochs: new Set() };
    const sender = await Sender.create(await FrameKey.derive(base, kid), this.counters, SHORT);
    // A key that is set twice gets a Sender with counters of its own; the old one seals no more.
    const before = sealing.senders.get(kid);
    before?.close();
    if (before && sealing.current === before) sealing.current = sender;
    sealing.senders.set(kid, sender);
    if (ofEpoch) sealing.ofEpochs.add(kid);
    else sealing.ofEpochs.delete(kid);
    this.#sealing.set(name, sealing);
  }

  async #installTheirs(event: InstallKey | InstallSenderKey, base: BaseKey): Promise<void> {
    const receiver = this.#receiver(event);
    if (event.kind === "InstallKey") {
      receiver.addKey(await FrameKey.derive(base, event.kid));
    } else {
      receiver.addSenderKey(event.generation, base, { ...LAYOUT, step: event.step });
    }
    this.#keep(event.sender, receiver);
  }

  async #installEpoch(event: InstallEpoch, base: BaseKey, baseName: string): Promise<void> {
    const { epoch, senderBits, senders, myIndex } = event;
    if (myIndex !== null && !(myIndex >= 0 && myIndex < senders)) {
      throw new MisuseError("myIndex is that of no member");
    }
    const receiver = this.#receiver(event);
    receiver.addEpoch(epoch, base, { epochBits: EPOCH_BITS, senderBits, senders, except: myIndex });
    this.#keep(event.sender, receiver);
    // Others are heard even if no counters come, and then the key is in use all the same.
    this.#directions.note(baseName, event);
    const kid = myIndex === null ? undefined : kidOfMember(epoch, myIndex, EPOCH_BITS);
    // Of an epoch that this one replaces, RFC 9605 5.2 showing the low bits alone, nothing seals on.
    this.#dropMineOf(event.sender, epoch, kid);
    if (kid === undefined) return;
    await this.#installMine(event.sender, base, kid, true);
  }

  /** The one that is there, unless it had no key yet and is of another suite. */
  #receiver({ sender, suite }: Install): Receiver {
    const there = this.#opening.get(sender);
    const fits = there && (this.#keyed.has(sender) || there.suite.id === suite);
    return fits ? there : new Receiver(suite, SHORT);
  }

  #keep(sender: string, receiver: Receiver): void {
    this.#opening.set(sender, receiver);
    this.#keyed.add(sender);
  }

  #use(name: string, kid: bigint): void {
    const sealing = this.#sealing.get(name);
    const sender = sealing?.senders.get(kid);
    if (!sealing || !sender) throw new MisuseError("Use names a KID that was not installed");
    sealing.current = sender;
  }

  #drop(name: string, kid: bigint): void {
    const receiver = this.#opening.get(name);
    // A KID of a sender key stands for its whole generation, and one of a group for its epoch.
    if (receiver && !receiver.removeKey(kid) && !receiver.removeEpochOf(kid)) {
      receiver.removeSenderKey(kid >> BigInt(LAYOUT.ratchetBits));
    }
    const sealing = this.#sealing.get(name);
    if (sealing) dropMine(sealing, kid);
    this.#dropMineOf(name, kid);
  }

  /** What seals in the epoch that a number or KID shows, but for one KID. */
  #dropMineOf(name: string, epochOrKid: bigint, spared?: bigint): void {
    const sealing = this.#sealing.get(name);
    for (const kid of sealing?.ofEpochs ?? []) {
      const isOfIt = lowOf(kid, EPOCH_BITS) === lowOf(epochOrKid, EPOCH_BITS);
      if (sealing && isOfIt && kid !== spared) dropMine(sealing, kid);
    }
  }
}

function dropMine(sealing: Sealing, kid: bigint): void {
  const sender = sealing.senders.get(kid);
  sender?.close();
  sealing.senders.delete(kid);
  sealing.ofEpochs.delete(kid);
  if (sealing.current === sender) delete sealing.current;
}

function kidOf(event: InstallKey | InstallSenderKey): bigint {
  if (event.kind === "InstallKey") return event.kid;
  return kidOfStep(event.generation, event.step, LAYOUT.ratchetBits);
}

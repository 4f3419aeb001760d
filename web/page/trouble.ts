/**
 * Decides when a transform is in trouble, and words it, as pysframe's adapter for aiortc does.
 *
 * Rules:
 *   1. No alarm rests on single frames: lossy networks make a few that do not open.
 *   2. A transform's counts say that there is trouble, and the key flow says which: read as SFrame,
 *      media in the clear has a KID as well, and one frame cannot tell them apart.
 *   3. What was said holds until the key flow says something else: silence says nothing.
 */

import type { Trouble, TroubleKind } from "../key-source.js";
import type { Refused } from "../messages.js";
import type { KeyFlow, KeyState } from "../sframe/key-flow.js";

const [FRAMES, SECONDS] = [10, 0.2];
/** Of a slow stream. */
const [FEW_FRAMES, MORE_SECONDS] = [2, 2];

const KINDS: Partial<Record<Refused["why"], TroubleKind>> = {
  keyID: "missing key",
  authentication: "wrong key",
  syntax: "not SFrame",
};
const STATES: Partial<Record<TroubleKind, readonly KeyState[]>> = {
  "missing key": ["missing key", "stale key"],
  "wrong key": ["wrong key"],
};
/** vectors/media_in_clear.json has them, too. */
export const WORDS: Partial<Record<TroubleKind, string>> = {
  "missing key": "frames arrive under KID {kid}, and its key has not come",
  "stale key": "frames arrive under KID {kid}, whose key was dropped: the sender is behind",
  "wrong key":
    "frames arrive under KID {kid}, and its key does not open them: it is another key, or somebody " +
    "alters them on the way",
  "not SFrame":
    "frames arrive that are not SFrame: media in the clear, another format, or another envelope",
};

export type Flows = ReadonlyMap<bigint | null, KeyFlow>;

/**
 * Why nothing of a received track opens; undefined: nothing is wrong, or it cannot be told yet.
 * `before`: what was said last.
 */
export function troubleIn(
  id: string,
  refused: Refused,
  flows: Flows,
  before?: Trouble,
): Trouble | undefined {
  if (!isLong(refused)) return undefined;
  const { sender, kid } = refused;
  const name = `${JSON.stringify(id)} of ${sender}`;
  const told = (trouble: TroubleKind, words: string): Trouble => {
    return {
      kind: "Trouble",
      trouble,
      sender,
      words: `${name}: ${words}; nothing of it is decoded`,
    };
  };
  const guess = KINDS[refused.why];
  if (!guess) return told("refused", `its frames are refused as ${refused.why}`);
  const kind = kindOf(guess, refused, flows, before?.trouble);
  if (!kind) return undefined;
  const isStale = kind === "missing key" && stateOf(kid, flows) === "stale key";
  const sure = isStale ? "stale key" : kind;
  return told(sure, (WORDS[sure] ?? sure).replace("{kid}", kid === undefined ? "?" : hexOf(kid)));
}

/** Why nothing of a track is sealed. */
export function troubleOut(id: string, refused: Refused): Trouble | undefined {
  if (!isLong(refused)) return undefined;
  const { sender, why: name } = refused;
  const why =
    name === "keyID"
      ? "there is no key to seal with"
      : "the key to seal with has reached its end, or its store of counters gives no lease";
  const words = `${JSON.stringify(id)} of ${sender} is not sent: ${why}`;
  return { kind: "Trouble", trouble: "cannot seal", sender, words };
}

/** Whether this many frames in a row, over this long, count as a trouble. */
function isLong({ frames, seconds }: Refused): boolean {
  return (
    (frames >= FRAMES && seconds >= SECONDS) || (frames >= FEW_FRAMES && seconds >= MORE_SECONDS)
  );
}

function kindOf(
  guess: TroubleKind,
  refused: Refused,
  flows: Flows,
  before: TroubleKind | undefined,
): TroubleKind | undefined {
  const states = STATES[guess];
  if (!states) return guess;
  const said = before && before in WORDS ? before : undefined;
  const likely = refused.seconds >= MORE_SECONDS ? guess : undefined;
  return judged(guess, states, refused.kid, flows) ?? said ?? likely;
}

/** What the key flow makes of a refusal; undefined while it tells nothing. */
function judged(
  guess: TroubleKind,
  states: readonly KeyState[],
  kid: bigint | undefined,
  flows: Flows,
): TroubleKind | undefined {
  const theirs = stateOf(kid, flows);
  if (!(theirs && states.includes(theirs)) && flows.has(null)) return "not SFrame";
  // The states of other KIDs count: a sender who goes on to its next KID is still in trouble.
  return [...flows.values()].some(({ state }) => states.includes(state)) ? guess : undefined;
}

function stateOf(kid: bigint | undefined, flows: Flows): KeyState | undefined {
  return kid === undefined ? undefined : flows.get(kid)?.state;
}

function hexOf(kid: bigint): string {
  return `0x${kid.toString(16)}`;
}

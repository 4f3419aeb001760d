/**
 * Whether a browser can encrypt media frames, and in one sentence what it lacks.
 */

export interface Support {
  /** How transforms are attached; null where they cannot be. */
  readonly transform: "script" | "streams" | null;
  /** For a person. */
  readonly words: string;
}

/** What is looked at; a page's `globalThis` has it all. */
export interface Scope {
  readonly isSecureContext?: boolean;
  readonly crypto?: { readonly subtle?: unknown };
  readonly Worker?: unknown;
  readonly RTCPeerConnection?: unknown;
  readonly RTCRtpScriptTransform?: unknown;
  readonly RTCRtpSender?: { readonly prototype: object };
  readonly RTCRtpReceiver?: { readonly prototype: object };
}

export function supported(scope: Scope = globalThis as Scope): Support {
  const lacks = lacking(scope);
  if (lacks) return { transform: null, words: `Frames cannot be encrypted here: ${lacks}.` };
  const transform = hasScriptTransform(scope) ? "script" : "streams";
  return { transform, words: "This browser can encrypt media frames." };
}

function lacking(scope: Scope): string | null {
  if (scope.isSecureContext === false) return "the page was not loaded over HTTPS";
  if (!scope.crypto?.subtle) return "this browser has no WebCrypto";
  if (!scope.Worker) return "this browser has no workers";
  if (!scope.RTCPeerConnection) return "this browser has no WebRTC";
  if (hasScriptTransform(scope) || hasStreams(scope)) return null;
  return "this browser gives no access to encoded frames (RTCRtpScriptTransform)";
}

function hasScriptTransform(scope: Scope): boolean {
  return Boolean(scope.RTCRtpScriptTransform) && onBoth(scope, "transform");
}

function hasStreams(scope: Scope): boolean {
  return onBoth(scope, "createEncodedStreams");
}

function onBoth(scope: Scope, member: string): boolean {
  const { RTCRtpSender: sender, RTCRtpReceiver: receiver } = scope;
  return Boolean(sender && receiver && member in sender.prototype && member in receiver.prototype);
}

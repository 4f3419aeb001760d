/** supported() on browsers that lack one thing each. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Scope, supported } from "../supported.js";

const end = (...members: string[]) => ({
  prototype: Object.fromEntries(members.map((member) => [member, true])),
});
const MODERN: Scope = {
  isSecureContext: true,
  crypto: { subtle: {} },
  Worker: {},
  RTCPeerConnection: {},
  RTCRtpScriptTransform: {},
  RTCRtpSender: end("transform"),
  RTCRtpReceiver: end("transform"),
};
const without = (member: keyof Scope): Scope => ({ ...MODERN, [member]: undefined });
const STREAMS = end("createEncodedStreams");

test("a modern browser, and one with createEncodedStreams only", () => {
  assert.equal(supported(MODERN).transform, "script");
  const legacy = { ...MODERN, RTCRtpSender: STREAMS, RTCRtpReceiver: STREAMS };
  assert.equal(supported(legacy).transform, "streams");
});

for (const [words, scope] of [
  [/HTTPS/, { ...MODERN, isSecureContext: false }],
  [/WebCrypto/, without("crypto")],
  [/workers/, without("Worker")],
  [/WebRTC/, without("RTCPeerConnection")],
  [/encoded frames/, without("RTCRtpScriptTransform")],
  [/encoded frames/, { ...MODERN, RTCRtpReceiver: end() }],
  [/HTTPS|WebCrypto|workers|WebRTC/, {}],
] as [RegExp, Scope][]) {
  test(`what is lacking is said in one sentence: ${words}`, () => {
    const said = supported(scope);
    assert.equal(said.transform, null);
    assert.match(said.words, words);
    assert.match(said.words, /^[A-Z][^.]*\.$/);
  });
}

test("without an argument it looks at where it runs", () => {
  assert.equal(supported().transform, null);
});

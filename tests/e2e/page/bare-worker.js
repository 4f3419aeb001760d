/**
 * The frame worker for a control: it takes every video frame for one of a codec of which nothing is
 * shown, so that an SFU is left with no clear byte.
 */

RTCEncodedVideoFrame.prototype.getMetadata = () => ({ mimeType: "video/VP9" });

import "/dist/frame-worker.js";

/** Plain WebRTC, and how many frames of it come to a receiver: every one is passed on as it is. */

let passed = 0;

self.onrtctransform = ({ transformer: { readable, writable } }) => {
  const counted = new TransformStream({
    transform(frame, controller) {
      passed += 1;
      controller.enqueue(frame);
    },
  });
  readable.pipeThrough(counted).pipeTo(writable);
};

self.onmessage = () => self.postMessage(passed);

// After each request, the cdk command line sleeps five seconds until it asks whether a stack has changed. In a sandbox,
// it has changed after some milliseconds. Only sleeps get shorter: the callback of a timeout is not native code.
const POLL_MS = 5000;
const SHORT_MS = 200;
const setTimer = globalThis.setTimeout;
const isSleep = (callback) => /\[native code\]/.test(Function.prototype.toString.call(callback));

globalThis.setTimeout = Object.assign(
  (callback, delay, ...rest) => setTimer(callback, delay === POLL_MS && isSleep(callback) ? SHORT_MS : delay, ...rest),
  setTimer,
);

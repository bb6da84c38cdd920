// The page starts the worker and hands calls on: `await mqt("runKernelCase", 3)`.

const worker = new Worker("worker.mjs", { type: "module" });
const waiting = new Map();
let calls = 0;

worker.onmessage = ({ data: { call, result, error } }) => {
  const { resolve, reject } = waiting.get(call);
  waiting.delete(call);
  if (error === undefined) resolve(result);
  else reject(new Error(error));
};
worker.onerror = event => {
  for (const { reject } of waiting.values())
    reject(new Error(`the worker failed: ${event.message}`));
  waiting.clear();
};

globalThis.mqt = (name, ...args) =>
  new Promise((resolve, reject) => {
    waiting.set(++calls, { resolve, reject });
    worker.postMessage({ call: calls, name, args });
  });

// The engine in a dedicated worker, as the real page will have it.

import init, { Device, Engine, Stop, kernelCases } from "/pkg/mqt_web.js";

const started = performance.now();
// Not awaited here: a message must find its handler.
const ready = init().then(() => performance.now() - started);

let device;
let engine;
let sizes = {};

/**
 * A model's folder on the test server, read by ranges. `sizes` lists its files: a 404 would be an
 * error in the console.
 */
const store = folder => ({
  size: async name => sizes[name],
  list: inner => {
    const start = inner && `${inner}/`;
    const names = Object.keys(sizes).filter(name => name.startsWith(start));
    return names.map(name => name.slice(start.length)).filter(name => !name.includes("/"));
  },
  read: async (name, start, end) => {
    const headers = { range: `bytes=${start}-${end - 1}` };
    if (end === start) return new Uint8Array();
    const response = await fetch(folder + name, { headers });
    if (response.status !== 206) throw new Error(`${name}: status ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  },
});

const calls = {
  loadedMs: () => ready,
  open: async () => {
    device = await Device.open();
    return device?.adapterInfo() ?? null;
  },
  kernelCases: () => kernelCases(),
  runKernelCase: index => device.runKernelCase(index),
  load: async (folder, files, settings) => {
    engine?.free();
    engine = undefined;
    sizes = files;
    engine = await Engine.load(store(folder), settings, () => {});
    return engine.loaded();
  },
  /** The stages of one prompt, then the ids of an answer about the same picture. */
  trace: async (picture, question, settings) => {
    const bytes = new Uint8Array(await (await fetch(picture)).arrayBuffer());
    const trace = await engine.trace(bytes, question, settings, new Stop());
    const stages = {
      selected: trace.selected(),
      inputIds: trace.inputIds(),
      pixelValues: trace.pixelValues(),
      visualTokens: trace.visualTokens(),
      logits: trace.logits(),
    };
    trace.free();
    engine.startAnew();
    const answer = await engine.ask(question, settings, () => {}, new Stop());
    const plain = Object.entries(stages).map(([name, values]) => [name, values && [...values]]);
    return { ...Object.fromEntries(plain), answer };
  },
  ask: async (picture, question, settings) => {
    const response = await fetch(picture);
    await engine.look(new Uint8Array(await response.arrayBuffer()), new Stop());
    engine.startAnew();
    let streamed = "";
    const answer = await engine.ask(question, settings, text => (streamed += text), new Stop());
    return { ...answer, streamed };
  },
};

self.onmessage = async ({ data: { call, name, args } }) => {
  try {
    await ready;
    self.postMessage({ call, result: await calls[name](...args) });
  } catch (error) {
    self.postMessage({ call, error: String(error?.message ?? error) });
  }
};

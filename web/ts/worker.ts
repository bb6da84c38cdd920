// The engine's side of the worker: one model, one conversation, one piece of work at a time.

import * as Comlink from "comlink";
import init, { Engine, Heat, type View as Seen, Stop } from "../pkg/mqt_web.js";
import { MemoryBlobs, openStorage } from "./blobs";
import { EngineError, lastWords } from "./errors";
import type {
  Answer,
  BenchReport,
  Kernels,
  Loaded as LoadedModel,
  LookedAt,
  Offer,
} from "./generated";
import type { Loaded, Progress, Step, View, WorkerApi, WorkerSettings } from "./messages";
import { plainAddress } from "./network";
import { CachedPictures } from "./pictures";
import { readScenes } from "./scenes";
import { FileStore, PackStore } from "./store";
import { shown } from "./shown";
import { carryErrors } from "./transfer";

carryErrors();

/** The lock that keeps a second tab from loading the stored models as well. */
const LOCK = "mqt-models";

/** How often work says how far it has come. */
const STEP_MS = 100;

/** The WebAssembly, begun once. */
let module: ReturnType<typeof init> | undefined;
const begin = (url?: string) => (module ??= init(url && { module_or_path: url }));
let engine: Engine | undefined;
let store: PackStore | FileStore | undefined;
let memory: WebAssembly.Memory | undefined;
const pictures = new CachedPictures();
const stops = new Map<number, Stop>();

/** Work in the order it was asked for: a model does one thing at a time. */
let last: Promise<unknown> = Promise.resolve();
function inTurn<T>(work: (engine: Engine) => Promise<T> | T): Promise<T> {
  const next = last.then(async () => {
    if (!engine) throw new EngineError("internal", "no model is loaded");
    try {
      return await work(engine);
    } catch (error) {
      throw EngineError.from(error);
    }
  });
  last = next.catch(() => undefined);
  return next;
}

/** The same with a `Stop` that `stop(id)` finds, and which says how far the work has come. */
function stoppable<T>(
  id: number,
  work: (engine: Engine, stop: Stop) => Promise<T>,
  onStep: (step: Step) => void = () => {},
): Promise<T> {
  const stop = new Stop();
  stops.set(id, stop);
  let last = "";
  const look = setInterval(() => {
    const { stage: phase, share } = stop;
    if (!phase || last === (last = `${phase} ${share}`)) return;
    onStep({ phase: phase as Step["phase"], share });
  }, STEP_MS);
  return inTurn(engine => work(engine, stop)).finally(() => {
    clearInterval(look);
    stops.delete(id);
    stop.free();
  });
}

/** Holds the lock until the worker ends. */
async function claim(sharing: WorkerSettings["sharing"], taken: () => void): Promise<void> {
  if (!navigator.locks || sharing === "beside") return;
  const options: LockOptions =
    sharing === "take" ? { steal: true } : sharing === "try" ? { ifAvailable: true } : {};
  await new Promise<void>((resolve, reject) => {
    const forever = new Promise(() => {});
    const held = navigator.locks.request(LOCK, options, lock => {
      if (!lock) {
        reject(
          new EngineError(
            "second-tab",
            "the model is already loaded in another tab, or by another engine on this page",
          ),
        );
        return;
      }
      resolve();
      return forever;
    });
    held.catch(taken);
  });
}

async function program(url?: string) {
  try {
    return await begin(url);
  } catch (error) {
    const { message } = error as Error;
    // What else a server sends in its place, such as a page that says so, begins with other bytes.
    const why = /magic/.test(message) ? "what comes is no WebAssembly" : shown(message, 200);
    const place = url ? plainAddress(url) : "mqt_web_bg.wasm, beside the engine's worker,";
    throw new EngineError("network", `${place} cannot be fetched as the engine's program: ${why}`);
  }
}

async function openStore(
  { source, keep, refresh }: WorkerSettings,
  tell: (progress: Progress) => void,
): Promise<PackStore | FileStore> {
  if ("files" in source) return new FileStore(source.files);
  if (!crypto.subtle)
    throw new EngineError(
      "network",
      "over an insecure connection browsers verify no files: open the page over https, or on localhost",
    );
  let blobs;
  try {
    blobs = keep === "memory" ? new MemoryBlobs() : await openStorage();
  } catch (error) {
    throw new EngineError(
      "storage-full",
      `this browser offers no storage here: ${(error as Error).message}`,
      { have: 0 },
    );
  }
  const pack = await PackStore.open(source.url, blobs, refresh, tell);
  if (keep === "storage") {
    const { missing } = await pack.sizes();
    const { quota = Infinity, usage = 0 } = (await navigator.storage.estimate?.()) ?? {};
    if (missing > quota - usage) {
      const facts = { need: missing, have: Math.max(0, quota - usage) };
      throw new EngineError(
        "storage-full",
        "the browser's storage has no room for the model",
        facts,
      );
    }
  }
  pack.start();
  return pack;
}

/** Needs no turn, so that it can be asked at any time: an engine at work is not to be touched. */
function gpuBytes(): number | null {
  try {
    return engine?.gpuBytes() ?? 0;
  } catch {
    return null;
  }
}

function handOver(seen: Seen): View {
  const { size, width, height, readingsDiffer, hash, encodeMs } = seen;
  const [rgb, offer] = [seen.rgb(), seen.offer as Offer | undefined];
  seen.free();
  return Comlink.transfer({ rgb, size, width, height, readingsDiffer, hash, encodeMs, offer }, [
    rgb.buffer,
  ]);
}

const api: WorkerApi = {
  async load(settings, onProgress): Promise<Loaded> {
    try {
      if (settings.keep === "storage" && "url" in settings.source) {
        await claim(settings.sharing, () => onProgress({ phase: "taken" }));
      }
      memory = (await program(settings.wasmUrl)).memory;
      store = await openStore(settings, onProgress);
      pictures.isOn = settings.pictures;
      engine = await Engine.load(
        store as never,
        settings.settings,
        (phase: string, done: number, total: number) => {
          if (phase === "loading weights") onProgress({ phase: "uploading", done, total });
          else onProgress({ phase: "compiling", done, total });
        },
        settings.keep === "storage" ? pictures : undefined,
      );
      if (store instanceof PackStore) await store.whole;
      const loaded = engine.loaded() as LoadedModel;
      const scenes = await readScenes(store);
      return scenes ? { ...loaded, scenes } : loaded;
    } catch (error) {
      throw store?.failure ?? EngineError.from(error);
    }
  },

  pause: () => (store as PackStore | undefined)?.pause(),
  resumeDownload: () => (store as PackStore | undefined)?.resume(),

  look: (id, picture, onStep) =>
    stoppable(
      id,
      async (engine, stop): Promise<View> => handOver(await engine.look(picture, stop)),
      onStep,
    ),
  lookAlso: (id, picture, onStep) =>
    stoppable(
      id,
      async (engine, stop): Promise<View> => handOver(await engine.lookAlso(picture, stop)),
      onStep,
    ),
  forget: picture => inTurn(engine => engine.forget(picture)),
  forgetAll: () => inTurn(engine => engine.forgetAll()),
  pictures: () => inTurn(engine => engine.pictures()),
  offer: select => inTurn(engine => engine.offer(select) as Offer),
  inspect: picture => inTurn(engine => handOver(engine.inspect(picture))),
  prepare: (id, settings) => stoppable(id, (engine, stop) => engine.prepare(settings, stop)),
  ask: (id, question, settings, onText, onStep) =>
    stoppable(
      id,
      async (engine, stop) => (await engine.ask(question, settings, onText, stop)) as Answer,
      onStep,
    ),
  converse: (id, told, pictures) =>
    stoppable(id, (engine, stop) => engine.converse(told, pictures, stop)),
  bench: (id, settings, onProgress) =>
    stoppable(
      id,
      async (engine, stop) => (await engine.bench(settings, onProgress, stop)) as BenchReport,
    ),
  stop: id => stops.get(id)?.stop(),

  estimate: (question, settings) => inTurn(engine => engine.estimate(question, settings)),
  keepPictures: on => void (pictures.isOn = on),
  learned: () => inTurn(engine => engine.learned() as Kernels),
  probe: id => stoppable(id, async (engine, stop) => (await engine.probe(stop)) as Kernels),
  resamplerMap: imageTokens => inTurn(engine => engine.resamplerMap(imageTokens)),
  lookedAt: id =>
    stoppable(id, async (engine, stop) => (await engine.lookedAt(stop)) as LookedAt[]),
  // Needs no turn: it touches nothing of the model.
  heat: async (rgb, weights, scale, opacity) => {
    await begin();
    const heat = new Heat(rgb, weights, scale, opacity);
    const [rgba, place, share] = [heat.rgba(), heat.place, heat.share];
    heat.free();
    return Comlink.transfer({ rgba, place, share }, [rgba.buffer]);
  },
  takeBack: () => inTurn(engine => engine.takeBack()),
  startAnew: () => inTurn(engine => engine.startAnew()),
  instruct: system => inTurn(engine => engine.instruct(system)),
  resume: turns => inTurn(engine => engine.resume(turns)),
  lastWords: async () => lastWords(),
  memory: async () => ({ wasmBytes: memory?.buffer.byteLength ?? 0, gpuBytes: gpuBytes() }),
};

Comlink.expose(api);

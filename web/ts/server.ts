// An engine that is a program: the calls of a worker, sent to `mqt serve --open`. Its side is
// `src/bin/mqt/serve/page/`.

import * as Comlink from "comlink";
import { EngineError } from "./errors";
import type { Answer, BenchReport, Estimate, Kernels, LookedAt, Offer } from "./generated";
import type { Heat, Loaded, Memory, Step, View, WorkerApi } from "./messages";

interface Line {
  step?: Step;
  text?: string;
  note?: string;
  value?: unknown;
  error?: { code: EngineError["code"]; message: string; facts: EngineError["facts"] };
}

interface Heard {
  onStep?: (step: Step) => void;
  onText?: (text: string) => void;
}

/** Something that can be used as the engine's worker, and whose calls go to the server at `base`. */
export function serverWorker(base: URL): Worker {
  const { port1, port2 } = new MessageChannel();
  const server = new Server(base);
  Comlink.expose(server.api, port2);
  return Object.assign(port1, {
    terminate() {
      server.end();
      // What is under way hears nothing any more.
      port1.close();
    },
  }) as unknown as Worker;
}

/** The pictures of one call, behind its arguments. */
function body(args: unknown[], blobs: Uint8Array[]): Blob {
  const sizes = blobs.map(blob => blob.length);
  const head = new TextEncoder().encode(JSON.stringify({ args, sizes }));
  const length = new DataView(new ArrayBuffer(4));
  length.setUint32(0, head.length, true);
  return new Blob([length.buffer, head, ...(blobs as BlobPart[])]);
}

const fromBase64 = (text: string) => Uint8Array.from(atob(text), c => c.charCodeAt(0));

class Server {
  private tab = "";
  private readonly ending = new AbortController();

  constructor(private readonly base: URL) {}

  private fetch(path: string, init: RequestInit): Promise<Response> {
    const headers = { "content-type": "application/octet-stream" };
    return fetch(new URL(path, this.base), { method: "POST", headers, ...init });
  }

  /** Sends a call, hears what happens, and gives what comes of it. */
  private async call(
    name: string,
    args: unknown[] = [],
    { id = 0, blobs = [], heard = {} }: { id?: number; blobs?: Uint8Array[]; heard?: Heard } = {},
  ): Promise<unknown> {
    const path = name === "load" ? "tabs" : `tabs/${this.tab}/${name}/${id}`;
    const away = (why: unknown) =>
      new EngineError("network", `mqt serve does not answer: ${(why as Error).message ?? why}`);
    const init = { body: body(args, blobs), signal: this.ending.signal };
    const response = await this.fetch(path, init).catch(error => {
      throw away(error);
    });
    if (!response.ok) {
      const said = (await response.json().catch(() => ({}))) as { error?: { message?: string } };
      throw away(said.error?.message ?? response.status);
    }
    // Read to its end: the connection is used again.
    let value: Line | undefined;
    for await (const line of lines(response)) {
      const { step, text, note, error } = line;
      if (step) heard.onStep?.(step);
      if (text !== undefined) heard.onText?.(text);
      if (note !== undefined) heard.onText?.(note);
      if (error) throw new EngineError(error.code, error.message, error.facts);
      if ("value" in line) value = line;
    }
    if (!value) throw away("the answer ended early");
    return value.value;
  }

  private view = (said: unknown): View => {
    const { rgb, ...rest } = said as Omit<View, "rgb"> & { rgb: string };
    return { ...rest, rgb: fromBase64(rgb) };
  };

  /** Calls about several pictures. */
  private readonly several = {
    lookAlso: (id: number, picture: Uint8Array, onStep: (step: Step) => void) =>
      this.call("lookAlso", [], { id, blobs: [picture], heard: { onStep } }).then(this.view),
    forget: async (picture: number) => void (await this.call("forget", [picture])),
    forgetAll: async () => void (await this.call("forgetAll")),
    pictures: () => this.call("pictures") as Promise<number>,
    offer: (select?: string) => this.call("offer", [select]) as Promise<Offer>,
  };

  readonly api: WorkerApi = {
    ...this.several,
    load: async ({ settings: { context } }) => {
      const { tab, loaded } = (await this.call("load", [{ context }])) as {
        tab: string;
        loaded: Loaded;
      };
      this.tab = tab;
      return loaded;
    },
    // Nothing is downloaded.
    pause: () => undefined,
    resumeDownload: () => undefined,
    look: (id, picture, onStep) =>
      this.call("look", [], { id, blobs: [picture], heard: { onStep } }).then(this.view),
    lookAlso: (id, picture, onStep) =>
      this.call("lookAlso", [], { id, blobs: [picture], heard: { onStep } }).then(this.view),
    forget: async picture => void (await this.call("forget", [picture])),
    forgetAll: async () => void (await this.call("forgetAll")),
    pictures: () => this.call("pictures") as Promise<number>,
    offer: select => this.call("offer", [select]) as Promise<Offer>,
    inspect: picture => this.call("inspect", [], { blobs: [picture] }).then(this.view),
    prepare: async (id, settings) => void (await this.call("prepare", [settings], { id })),
    ask: (id, question, settings, onText, onStep) =>
      this.call("ask", [question, settings], { id, heard: { onText, onStep } }) as Promise<Answer>,
    converse: async () => {
      throw new EngineError("invalid-setting", "ask this server's /v1/chat/completions instead");
    },
    stop: id => void this.fetch(`tabs/${this.tab}/stop/${id}`, {}).catch(() => undefined),
    estimate: (question, settings) =>
      this.call("estimate", [question, settings]) as Promise<Estimate>,
    bench: (id, settings, onProgress) =>
      this.call("bench", [settings], { id, heard: { onText: onProgress } }) as Promise<BenchReport>,
    // The program keeps them in memory, for itself.
    keepPictures: () => undefined,
    learned: () => this.call("learned") as Promise<Kernels>,
    probe: id => this.call("probe", [], { id }) as Promise<Kernels>,
    resamplerMap: async tokens =>
      Float32Array.from((await this.call("resamplerMap", [tokens])) as number[]),
    lookedAt: id => this.call("lookedAt", [], { id }) as Promise<LookedAt[]>,
    heat: async (rgb, weights, scale, opacity): Promise<Heat> => {
      const { buffer, byteOffset, byteLength } = weights;
      const blobs = [rgb, new Uint8Array(buffer, byteOffset, byteLength)];
      const said = await this.call("heat", [scale, opacity], { blobs });
      const { rgba, ...rest } = said as Omit<Heat, "rgba"> & { rgba: string };
      return { ...rest, rgba: fromBase64(rgba) };
    },
    takeBack: async () => void (await this.call("takeBack")),
    startAnew: async () => void (await this.call("startAnew")),
    instruct: async system => void (await this.call("instruct", [system])),
    resume: async turns => void (await this.call("resume", [turns])),
    memory: () => this.call("memory") as Promise<Memory>,
    lastWords: async () => undefined,
  };

  /** The tab has gone: its session goes too. */
  end(): void {
    this.ending.abort();
    const path = `tabs/${this.tab}/dispose/0`;
    if (this.tab)
      void this.fetch(path, { body: body([], []), keepalive: true }).catch(() => undefined);
  }
}

/** The lines of a response, as they come. */
async function* lines(response: Response): AsyncGenerator<Line> {
  const decoder = new TextDecoder();
  let held = "";
  const reader = response.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
    held += decoder.decode(value, { stream: !done });
    const whole = held.split("\n");
    held = whole.pop() ?? "";
    for (const line of whole) yield JSON.parse(line) as Line;
    if (done) return;
  }
}

/** The server that this page came from, if it computes, and the model that it has. */
export function ownServer(): { url: URL; model: string } | undefined {
  const mark = document.querySelector<HTMLMetaElement>('meta[name="mqt-server"]');
  if (!mark) return undefined;
  return { url: new URL(mark.content, document.baseURI), model: mark.dataset.model ?? "" };
}

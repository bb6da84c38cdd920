// The cards above the conversation: first visit, progress, and every way in which things go wrong.
// Each says what happened, what was kept, and what to press.

import { type EngineError, type Progress, storedPacks } from "mqt-web";
import { app, bundled } from "./app";
import { bytes, copy, find, h, seconds } from "./dom";
import * as models from "./models";
import { report } from "./report";
import { samples } from "./samples";
import * as tokens from "./tokens";
import type { Probe } from "./webgpu";

interface Action {
  label: string;
  run: () => unknown;
  /** The one most people want. */
  main?: boolean;
}

export interface Notice {
  kind: "welcome" | "progress" | "trouble" | "news";
  title: string;
  text: (string | Node)[];
  actions: Action[];
}

const area = () => find("#notices");

function button({ label, run, main }: Action): HTMLElement {
  return h(main ? "button.main" : "button", { type: "button", onclick: (event: Event) => run.call(event.currentTarget) }, label);
}

export function show(notice: Notice): void {
  const text = notice.text.map((part) => (typeof part === "string" ? h("p", part) : part));
  const actions = notice.actions.length > 0 && h("div.actions", ...notice.actions.map(button));
  area().replaceChildren(h(`section.notice.${notice.kind}`, { "aria-label": notice.title }, h("h2", notice.title), ...text, actions || null));
  // On a phone one may be far below.
  if (notice.kind === "trouble") area().scrollIntoView({ block: "nearest" });
}

export function clear(): void {
  area().replaceChildren();
}

/** One quiet line under the picture. */
export function remark(text: string): void {
  find("#remark").textContent = text;
}

const onProcessor: Action = { label: "Use the processor instead", run: () => app.switchTo({ adapter: "cpu" }) };
const otherModel: Action = { label: "Another model…", run: () => models.open() };
const again: Action = { label: "Try again", run: () => app.start(), main: true };

function copyReport(this: HTMLElement): void {
  void copy(report(), this);
}

// First visit

export async function welcome(): Promise<void> {
  const stored = await app.isStored();
  const size = bytes(__BUNDLED__.bytes);
  const own = app.model.from === bundled.from;
  const label = stored ? "Start (already on this device)" : own ? `Start: download ${size}` : "Download this model";
  show({
    kind: "welcome",
    title: "Ask about a picture, on your own device",
    text: [
      "Choose a picture and ask about it. The model runs in this browser, on your graphics card; the picture and your questions never leave this page.",
      own
        ? `The bundled toybox model takes ${size}. It knows toy scenes only: coloured shapes, how many there are, where they lie. It cannot read and knows no photographs.`
        : `The model at ${app.model.name} is fetched when you press the button, and stored on this device.`,
      recorded(),
    ],
    actions: [{ label, run: () => app.start(), main: true }, otherModel],
  });
}

/** Answers given earlier, so that the idea is visible before anything was downloaded. */
function recorded(): HTMLElement {
  const cards = samples
    .filter((sample) => sample.questions.length > 0)
    .slice(0, 3)
    .map(({ url, questions: [first] }) =>
      h("figure", h<HTMLImageElement>("img", { src: url, alt: "", width: 72, height: 72, loading: "lazy" }), h("figcaption", h("b", first!.text), h("span", first!.answer))),
    );
  return h("div.recorded", h("p.small", "What one can ask the toybox model, and the right answers:"), h("div.row", ...cards));
}

// Loading

let started = { at: 0, done: 0 };

export function progress(p: Progress, rebuilding = false): void {
  if (p.phase === "taken") return;
  if (rebuilding) {
    const bar = area().querySelector("progress");
    if (bar && "total" in p && p.total > 0) bar.value = p.done / p.total;
    return;
  }
  const titles = {
    downloading: "Downloading the model",
    paused: "Paused",
    offline: "Waiting for the network",
    verifying: "Verifying the model",
    "bad-shard": "A stored file was damaged",
    uploading: "Uploading to the device",
    compiling: "Preparing the kernels",
  };
  const share = "total" in p && p.total > 0 ? p.done / p.total : undefined;
  const pause: Action = { label: "Pause", run: () => app.pauseDownload() };
  const resume: Action = { label: p.phase === "offline" ? "Try again now" : "Continue", run: () => app.resumeDownload(), main: true };
  const cancel: Action = { label: "done" in p && p.done > 0 ? `Cancel (keeps ${bytes(p.done)})` : "Cancel", run: () => app.cancelDownload() };
  const actions = p.phase === "downloading" ? [pause, cancel] : p.phase === "paused" || p.phase === "offline" ? [resume, cancel] : [cancel];
  const line = describe(p);
  const card = area().querySelector<HTMLElement>(`.notice.progress[data-phase="${p.phase}"]`);
  if (card) {
    find("p", card).textContent = line;
    const bar = card.querySelector("progress");
    if (bar && share !== undefined) bar.value = share;
    const last = card.querySelector(".actions button:last-child");
    if (last && actions.length > 0) last.textContent = cancel.label;
    return;
  }
  started = { at: performance.now(), done: "done" in p ? p.done : 0 };
  if (p.phase === "compiling") watchElapsed();
  const bar = h<HTMLProgressElement>("progress", { max: 1, "aria-label": titles[p.phase] });
  if (share !== undefined) bar.value = share;
  show({ kind: "progress", title: titles[p.phase], text: [line, bar], actions });
  area().querySelector<HTMLElement>(".notice")!.dataset.phase = p.phase;
}

function describe(p: Progress): string {
  switch (p.phase) {
    case "downloading": {
      const rate = (p.done - started.done) / Math.max(0.3, (performance.now() - started.at) / 1000);
      const left = rate > 0 ? ` · ${bytes(rate)}/s · ${seconds(((p.total - p.done) / rate) * 1000)} left` : "";
      return `${bytes(p.done)} of ${bytes(p.total)}${left} · file ${p.index + 1} of ${p.count}`;
    }
    case "paused":
      return `${bytes(p.done)} of ${bytes(p.total)} are here and kept, also if you close the page.`;
    case "offline":
      return p.reason === "cross-origin"
        ? `That server cannot be reached, or does not let other pages read it (CORS). ${bytes(p.done)} of ${bytes(p.total)} are kept.`
        : `The connection is gone. ${bytes(p.done)} of ${bytes(p.total)} are kept; the download goes on by itself when the network is back.`;
    case "verifying":
      return `Checking the SHA-256 of ${p.file} (${p.index + 1} of ${p.count}).`;
    case "bad-shard":
      return `${p.file} does not match its SHA-256. It is not used; it alone is fetched again.`;
    case "uploading":
      return `${bytes(p.done)} of ${bytes(p.total)} are on the device.`;
    case "compiling": {
      const what = p.total > 0 ? `${p.done} of ${Math.max(p.total, p.done)} kernels are compiled` : "The kernels run once, so that the first question waits for no compiler";
      return `${what} · ${seconds(performance.now() - started.at)}`;
    }
    case "taken":
      return "";
  }
}

/** Between two reports the device compiles, and says nothing: the seconds go on. */
function watchElapsed(): void {
  const tick = setInterval(() => {
    const line = area().querySelector('.notice.progress[data-phase="compiling"] p');
    if (line) line.textContent = line.textContent!.replace(/[\d.]+ s$/, seconds(performance.now() - started.at));
    else clearInterval(tick);
  }, 200);
}

// Trouble

export const noWebGpu = (seen: Probe): Notice => ({
  kind: "trouble",
  title: "No WebGPU here",
  text: [
    seen.reason,
    seen.step,
    "Small models, like the toybox, also run on the processor: slower, with the same answers. The mqt program for the command line uses graphics cards that browsers do not.",
    recorded(),
  ].filter(Boolean),
  actions: [{ ...onProcessor, main: true }, { label: "Try again", run: () => app.start() }, { label: "Copy report", run: copyReport }],
});

export const weakAdapter = (seen: Probe): Notice => ({
  kind: "trouble",
  title: "A weak graphics adapter",
  text: [seen.reason, seen.step || "The processor can run small models instead.", "Nothing was downloaded yet."],
  actions: [{ label: "Try it anyway", run: () => app.start({ force: true }), main: true }, onProcessor, { label: "Copy report", run: copyReport }],
});

export function storageFull({ message, facts }: EngineError): Notice {
  const numbers = facts.need ? `It needs ${bytes(facts.need)}; ${facts.have === undefined ? "less is" : `${bytes(facts.have)} are`} left.` : message;
  return {
    kind: "trouble",
    title: "No room to store the model",
    text: [numbers, "Browsers allow a share of the free disk, and private windows little or nothing. What was stored before is kept."],
    actions: [
      { label: "Keep in memory this time", run: () => app.start({ force: true, keep: "memory" }), main: true },
      { label: "Free some room…", run: () => models.openStorage() },
      { label: "Try again", run: () => app.start() },
    ],
  };
}

export const badShard = ({ message, facts }: EngineError): Notice => ({
  kind: "trouble",
  title: "A file of the model is damaged",
  text: [message, "It is not used. The other files are kept."],
  actions: [{ label: facts.file ? `Fetch ${facts.file} again` : "Fetch it again", run: () => app.start({ force: true }), main: true }, otherModel],
});

export const unreachable = ({ message }: EngineError): Notice => ({
  kind: "trouble",
  title: navigator.onLine ? "The model cannot be reached" : "No network",
  text: [message, "What has arrived is kept. A model that is on this device needs no network."],
  actions: [again, otherModel],
});

export function outOfMemory({ message, facts }: EngineError, context: number): Notice {
  const shorter = Math.max(256, context / 2);
  const actions: Action[] = [again, onProcessor, otherModel];
  if (shorter < context) actions.unshift({ label: `Shorter context (${shorter} tokens)`, run: () => app.switchTo({ context: shorter }) });
  return {
    kind: "trouble",
    title: "Out of memory",
    text: [
      `${facts.file ? `The device has no room for ${facts.file}${facts.need ? ` (${bytes(facts.need)})` : ""}.` : message} The model was unloaded and its memory freed.`,
      "Picture and conversation are kept. A shorter context takes less memory, and so do fewer image tokens or a smaller model.",
    ],
    actions,
  };
}

export function deviceLost({ message, code }: EngineError, stop: boolean, question?: string): Notice {
  const what = code === "internal" ? `The engine stopped: ${message}` : message.replace(/; run again.*/, ".");
  const kept = "Picture, conversation and the text in the question box are kept.";
  if (stop)
    return {
      kind: "trouble",
      title: "The graphics device keeps going away",
      text: [what, `${kept} It happened three times within five minutes, so it is not rebuilt by itself any more.`],
      actions: [{ label: "Rebuild once more", run: () => app.rebuild(), main: true }, onProcessor, { label: "Copy report", run: copyReport }],
    };
  return {
    kind: "trouble",
    title: "The graphics device went away",
    text: [what, `Rebuilding. ${kept}${question ? " Below the cut-off answer you can repeat the question." : ""}`, h<HTMLProgressElement>("progress", { max: 1, "aria-label": "Rebuilding" })],
    actions: [],
  };
}

const FEWER = 8;

export const contextFull = (need: number, have: number): Notice => ({
  kind: "trouble",
  title: "The conversation is full",
  text: [`It takes ${need} tokens, ${have} fit. The answers so far are kept on the page.`],
  actions: [
    { label: "Start anew with this picture", run: () => app.startAnew(), main: true },
    ...(tokens.shown() > FEWER ? [{ label: `Start anew with ${FEWER} image tokens`, run: () => (tokens.choose(FEWER), app.startAnew()) }] : []),
    ...(app.context < (app.engine?.model.context_max ?? 0)
      ? [{ label: "A longer context", run: () => app.switchTo({ context: app.engine?.model.context_max }) }]
      : []),
  ],
});

export const secondTab = (): Notice => ({
  kind: "trouble",
  title: "Open in another tab",
  text: ["Another tab of this page uses the model. Loading it here as well would take its memory twice."],
  actions: [
    { label: "Use it here instead", run: () => app.start({ sharing: "take" }), main: true },
    { label: "Wait for the other tab", run: () => app.start({ sharing: "wait" }) },
  ],
});

export const waitingForTab = (): Notice => ({
  kind: "progress",
  title: "Waiting for the other tab",
  text: ["The model loads as soon as the other tab is closed.", h<HTMLProgressElement>("progress", { "aria-label": "Waiting" })],
  actions: [{ label: "Use it here instead", run: () => location.reload() }],
});

export const taken = (): Notice => ({
  kind: "trouble",
  title: "Moved to another tab",
  text: ["Another tab took the model over, and this one has freed its memory. The conversation is kept."],
  actions: [{ label: "Bring it back here", run: () => app.start({ sharing: "take" }), main: true }],
});

export const refused = ({ message }: EngineError): Notice => ({
  kind: "trouble",
  title: "That did not work",
  text: [`${message[0]?.toUpperCase()}${message.slice(1)}.`, "Everything else is as it was."],
  actions: [{ label: "All right", run: clear, main: true }],
});

// News

export interface Update {
  /** Bytes that are not yet here. */
  bytes: number;
}

/** A manifest at `url` other than the one with that hash. */
export async function findUpdate(url: string, sha256: string): Promise<Update | undefined> {
  const text = await (await fetch(url, { cache: "no-cache" })).arrayBuffer();
  const digest = [...new Uint8Array(await crypto.subtle.digest("SHA-256", text))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const known = (await storedPacks()).find((pack) => pack.url === url);
  if (digest === sha256 || !known) return undefined;
  const manifest = JSON.parse(new TextDecoder().decode(text)) as { files: { sha256: string; bytes: number }[]; shards: { sha256: string; bytes: number }[] };
  const here = new Set(known.files.map((file) => file.sha256));
  const missing = [...manifest.files, ...manifest.shards].filter((file) => !here.has(file.sha256));
  return { bytes: missing.reduce((sum, file) => sum + file.bytes, 0) };
}

export const update = (found: Update): Notice => ({
  kind: "news",
  title: "A new version of the model",
  text: [`${bytes(found.bytes)} differ from what is stored here. The old version is removed when the new one is taken.`],
  actions: [{ label: `Update (${bytes(found.bytes)})`, run: () => app.switchTo({ refresh: true }), main: true }, { label: "Later", run: clear }],
});

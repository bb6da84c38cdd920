// The cards above the conversation: first visit, progress, and every way in which things go wrong.
// Each says what happened, what was kept, and what to press.

import { EngineError, type Progress, storedBytes, storedPacks } from "mqt-web";
import { type Loadable, app, bundled } from "./app";
import { bytes, copy, find, h, seconds } from "./dom";
import { rebuild } from "./failures";
import * as models from "./models";
import { report } from "./report";
import { samples } from "./samples";
import { enter } from "./state";
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
  const role = notice.kind === "trouble" ? "alert" : "region";
  const focus = area().contains(document.activeElement) ? document.activeElement : undefined;
  area().replaceChildren(h(`section.notice.${notice.kind}`, { role, "aria-label": notice.title }, h("h2", notice.title), ...text, actions || null));
  if (focus) refocus(focus);
  // On a phone one may be far below.
  if (notice.kind === "trouble") area().scrollIntoView({ block: "nearest" });
}

/** Whoever was at a button of the card before goes on at its like in this one, or at the card. */
function refocus(before: Element): void {
  const first = (button: Element) => button.textContent?.split(" ")[0];
  const buttons = [...area().querySelectorAll<HTMLElement>("button")];
  const card = area().querySelector<HTMLElement>(".notice")!;
  card.tabIndex = -1;
  (buttons.find((button) => first(button) === first(before)) ?? buttons[0] ?? card).focus();
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
/** The manifest that is stored may name files that its server has no more. */
const afresh: Action = { ...again, run: async () => app.start({ refresh: !(await app.isStored()) }) };

function copyReport(this: HTMLElement): void {
  void copy(report(), this);
}

// First visit

export async function welcome(): Promise<void> {
  const stored = await app.isStored();
  const size = bytes(__BUNDLED__.bytes);
  const { model } = app;
  const [own, local] = [model.from === bundled.from, typeof model.from !== "string"];
  const label = stored ? "Start (already on this device)" : own ? `Start: download ${size}` : local ? "Load" : "How large is it?";
  show({
    kind: "welcome",
    title: "Ask about a picture, on your own device",
    text: [
      "Choose a picture and ask about it. The model runs in this browser, on your graphics card; the picture and your questions never leave this page.",
      own
        ? `The bundled toybox model takes ${size}. It knows toy scenes only: shapes, stickers, strokes and cards; what and how many they are, where they lie and beside what. It knows no photographs.`
        : local
          ? `The model is ${model.name}, from this device's disk.`
        : stored
          ? `The model of ${app.model.name} is stored on this device.`
          : `The model comes from ${app.model.name}, and is stored on this device. Nothing is asked of that server before you press the button.`,
      recorded(),
    ],
    actions: [{ label, run: () => (own || stored ? app.start() : offer(model)), main: true }, otherModel],
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

/** What a model at an address would take, before anything of it but its manifest is fetched; one that is here is loaded at once. */
export async function offer(model: Loadable): Promise<void> {
  const mine = ++offers;
  const load = () => {
    clear(); // the offer is taken: from now on the download is told about
    return app.switchTo({ model });
  };
  try {
    if (typeof model.from !== "string" || (await app.isStored(model))) return await load();
    const { name, missing, total } = await look(model.from);
    const { quota, usage = 0 } = (await navigator.storage?.estimate?.()) ?? {};
    const room = quota === undefined ? "" : ` This browser has room for ${bytes(Math.max(0, quota - usage))}.`;
    if (mine !== offers) return;
    const part = missing < total ? `, of ${bytes(total)} in all` : "";
    show({
      kind: "welcome",
      title: name,
      text: [`${bytes(missing)} to download${part}, from ${new URL(model.from).host}. It is stored on this device and needs no network afterwards.${room}`],
      actions: [{ label: `Download ${bytes(missing)}`, run: load, main: true }, otherModel, ...keep()],
    });
  } catch (error) {
    if (mine !== offers) return;
    show({
      kind: "trouble",
      title: navigator.onLine ? "That model cannot be reached" : "No network",
      text: [EngineError.from(error).message, "Nothing of it was fetched."],
      actions: [{ label: "Try again", run: () => offer(model), main: true }, otherModel, ...keep()],
    });
    if (!app.engine && !app.loading) enter("offline");
  }
  area().querySelector<HTMLElement>(".notice")!.dataset.offer = "";
}

/** Counts offers: a slow server's comes too late if another was asked for meanwhile. */
let offers = 0;

/** What to press to stay with the model that is there, or on its way. */
const keep = (): Action[] => (app.engine || app.loading ? [{ label: "Keep the one that is here", run: clear }] : []);

interface Listed {
  bytes: number;
  sha256: string;
}

/** A pack's manifest: its hash, the pack's name, its bytes, and those that are not yet here. */
async function look(url: string): Promise<{ sha256: string; name: string; total: number; missing: number }> {
  let response: Response;
  let text: ArrayBuffer;
  try {
    response = await fetch(url, { cache: "no-cache" });
    text = await response.arrayBuffer();
  } catch (error) {
    const foreign = new URL(url).origin !== location.origin ? "; if you are online, that server does not allow other pages to read it (CORS)" : "";
    throw new EngineError("network", `${url} cannot be fetched: ${(error as Error).message}${foreign}`);
  }
  if (!response.ok) throw new EngineError("network", `${url}: the server answered ${response.status}`);
  if (!crypto.subtle) throw new EngineError("network", "over an insecure connection browsers verify no files: open the page over https, or on localhost");
  const digest = [...new Uint8Array(await crypto.subtle.digest("SHA-256", text))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const stored = await storedBytes();
  try {
    const { name, files, shards } = JSON.parse(new TextDecoder().decode(text)) as { name: string; files: Listed[]; shards: Listed[] };
    const all = [...files, ...shards];
    const total = all.reduce((sum, file) => sum + file.bytes, 0);
    const here = all.reduce((sum, file) => sum + Math.min(file.bytes, stored.get(file.sha256) ?? 0), 0);
    return { sha256: digest, name: String(name), total, missing: total - here };
  } catch {
    throw new EngineError("model-corrupt", `what ${url} holds is no pack's manifest`, { file: "manifest.json" });
  }
}

// Loading

let started = { at: 0, done: 0 };

export function progress(p: Progress, rebuilding = false): void {
  // Somebody looks at another model's size meanwhile.
  if (p.phase === "taken" || area().querySelector("[data-offer]")) return;
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
  const numbers = facts.need ? `It needs ${bytes(facts.need)} more; ${facts.have === undefined ? "less is" : `${bytes(facts.have)} are`} left.` : message;
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
  actions: [{ label: facts.file ? `Fetch ${facts.file} again` : "Fetch it again", run: () => app.start({ force: true, refresh: true }), main: true }, otherModel],
});

export const unreachable = ({ message }: EngineError): Notice => ({
  kind: "trouble",
  title: navigator.onLine ? "The model cannot be reached" : "No network",
  text: [message, "What has arrived is kept. A model that is on this device needs no network."],
  actions: [afresh, otherModel],
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
  const what = code === "internal" ? `It said: ${message}` : message.replace(/; run again.*/, ".");
  const kept = "Picture, conversation and the text in the question box are kept.";
  if (stop)
    return {
      kind: "trouble",
      title: "The graphics device keeps going away",
      text: [what, `${kept} It happened three times within five minutes, so it is not rebuilt by itself any more.`],
      actions: [{ label: "Rebuild once more", run: () => rebuild(), main: true }, onProcessor, { label: "Copy report", run: copyReport }],
    };
  return {
    kind: "trouble",
    title: code === "internal" ? "The engine stopped" : "The graphics device went away",
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
  actions: [{ label: "Use it here instead", run: () => app.start({ sharing: "take" }) }],
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
  const found = await look(url);
  const isStored = (await storedPacks()).some((pack) => pack.url === url);
  return found.sha256 === sha256 || !isStored ? undefined : { bytes: found.missing };
}

export const update = (found: Update): Notice => ({
  kind: "news",
  title: "A new version of the model",
  text: [`${bytes(found.bytes)} differ from what is stored here. The old version is removed when the new one is taken.`],
  actions: [{ label: `Update (${bytes(found.bytes)})`, run: () => app.switchTo({ refresh: true }), main: true }, { label: "Later", run: clear }],
});

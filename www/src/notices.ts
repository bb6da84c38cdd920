// The cards above the conversation: first visit, a model on offer, progress. Those about trouble
// are in trouble.ts.

import { EngineError, type Progress, plainAddress, shown } from "mqt-web";
import { type Loadable, app, bundled } from "./app";
import { bytes, find, h, seconds } from "./dom";
import { look } from "./lookup";
import * as models from "./models";
import { samples } from "./samples";
import { settings } from "./settings";
import { enter } from "./state";

export interface Action {
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
  return h(
    main ? "button.main" : "button",
    { type: "button", onclick: (event: Event) => run.call(event.currentTarget) },
    label,
  );
}

export function show(notice: Notice): void {
  const text = notice.text.map(part => (typeof part === "string" ? h("p", part) : part));
  const actions = notice.actions.length > 0 && h("div.actions", ...notice.actions.map(button));
  const role = notice.kind === "trouble" ? "alert" : "region";
  const focus = area().contains(document.activeElement) ? document.activeElement : undefined;
  area().replaceChildren(
    h(
      `section.notice.${notice.kind}`,
      { role, "aria-label": notice.title },
      h("h2", notice.title),
      ...text,
      actions || null,
    ),
  );
  if (focus) refocus(focus);
  // On a phone one may be far below.
  if (notice.kind === "trouble") area().scrollIntoView({ block: "nearest" });
}

/** Keeps keyboard focus on the equivalent button of the new card, else on the card. */
function refocus(before: Element): void {
  const first = (button: Element) => button.textContent?.split(" ")[0];
  const buttons = [...area().querySelectorAll<HTMLElement>("button")];
  const card = area().querySelector<HTMLElement>(".notice")!;
  card.tabIndex = -1;
  (buttons.find(button => first(button) === first(before)) ?? buttons[0] ?? card).focus();
}

export function clear(): void {
  area().replaceChildren();
}

export const otherModel: Action = { label: "Another model…", run: () => models.open() };

/**
 * What an error says, as a sentence. An address or a file's name at its beginning stays as it is.
 */
export const sentence = (message: string) =>
  `${shown(message.replace(/^[a-z]+(?=,? )/, word => word[0]!.toUpperCase() + word.slice(1))).replace(/\.$/, "")}.`;

/** One quiet line under the picture. */
export function remark(text: string): void {
  find("#remark").textContent = text;
}

// First visit

export async function welcome(): Promise<void> {
  if (settings.wrongModel) return show(wrongAddress(settings.wrongModel));
  const stored = await app.isStored();
  const size = bytes(__BUNDLED__.bytes);
  const { model } = app;
  const [own, local] = [model.from === bundled.from, typeof model.from !== "string"];
  const label = stored
    ? "Start (already on this device)"
    : own
      ? `Start: download ${size}`
      : local
        ? "Load"
        : "How large is it?";
  show({
    kind: "welcome",
    title: "Ask about a picture, on your own device",
    text: [
      "Choose a picture and ask about it. The model runs in this browser, on your graphics card; the picture and your questions never leave this page.",
      own
        ? `The bundled toybox model takes ${size}. It knows toy scenes only: shapes, stickers, strokes and cards; what and how many they are, where they lie and beside what. It knows no photographs.`
        : local
          ? `The model is ${shown(model.name, 100)}, from this device's disk.`
          : stored
            ? `The model of ${plainAddress(app.model.name)} is stored on this device.`
            : `The model comes from ${plainAddress(app.model.name)}, and is stored on this device. Nothing is asked of that server before you press the button.`,
      recorded(),
    ],
    actions: [
      { label, run: () => (own || stored ? app.start() : offer(model)), main: true },
      otherModel,
    ],
  });
}

/** The link's model cannot be asked for: nothing of it is, and the bundled one is there. */
const wrongAddress = (message: string): Notice => ({
  kind: "trouble",
  title: "The link's model address is wrong",
  text: [
    sentence(message),
    "Nothing was fetched. Another model's address can be typed, or the bundled model used.",
  ],
  actions: [
    {
      label: "Use the bundled model",
      run: () => ((settings.wrongModel = undefined), welcome()),
      main: true,
    },
    otherModel,
  ],
});

/** Answers given earlier, so that the idea is visible before anything was downloaded. */
export function recorded(): HTMLElement {
  const cards = samples
    .filter(sample => sample.questions.length > 0)
    .slice(0, 3)
    .map(({ url, questions: [first] }) =>
      h(
        "figure",
        h<HTMLImageElement>("img", { src: url, alt: "", width: 72, height: 72, loading: "lazy" }),
        h("figcaption", h("b", first!.text), h("span", first!.answer)),
      ),
    );
  return h(
    "div.recorded",
    h("p.small", "What one can ask the toybox model, and the right answers:"),
    h("div.row", ...cards),
  );
}

/**
 * What a model at an address would take, before anything of it but its manifest is fetched; one
 * that is here is loaded at once.
 */
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
    const room =
      quota === undefined ? "" : ` This browser has room for ${bytes(Math.max(0, quota - usage))}.`;
    if (mine !== offers) return;
    const part = missing < total ? `, of ${bytes(total)} in all` : "";
    show({
      kind: "welcome",
      title: name,
      text: [
        `${bytes(missing)} to download${part}, from ${new URL(model.from).host}. It is stored on this device and needs no network afterwards.${room}`,
      ],
      actions: [
        { label: `Download ${bytes(missing)}`, run: load, main: true },
        otherModel,
        ...keep(),
      ],
    });
  } catch (error) {
    if (mine !== offers) return;
    show({
      kind: "trouble",
      title: navigator.onLine ? "That model cannot be reached" : "No network",
      text: [sentence(EngineError.from(error).message), "Nothing of it was fetched."],
      actions: [{ label: "Try again", run: () => offer(model), main: true }, otherModel, ...keep()],
    });
    if (!app.engine && !app.loading) enter("offline");
  }
  area().querySelector<HTMLElement>(".notice")!.dataset.offer = "";
}

/** Counts offers: a slow server's comes too late if another was asked for meanwhile. */
let offers = 0;

/** What to press to stay with the model that is there, or on its way. */
const keep = (): Action[] =>
  app.engine || app.loading ? [{ label: "Keep the one that is here", run: clear }] : [];

// Loading

let started = { at: 0, done: 0 };

/** Phases whose `done` counts what was fetched. */
const FETCHING = ["downloading", "paused", "offline"];

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
  const resume: Action = {
    label: p.phase === "offline" ? "Try again now" : "Continue",
    run: () => app.resumeDownload(),
    main: true,
  };
  const cancel: Action = {
    label:
      FETCHING.includes(p.phase) && "done" in p && p.done > 0
        ? `Cancel (keeps ${bytes(p.done)})`
        : "Cancel",
    run: () => app.cancelDownload(),
  };
  const actions =
    p.phase === "downloading"
      ? [pause, cancel]
      : p.phase === "paused" || p.phase === "offline"
        ? [resume, cancel]
        : [cancel];
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
      const left =
        rate > 0 ? ` · ${bytes(rate)}/s · ${seconds(((p.total - p.done) / rate) * 1000)} left` : "";
      return `${bytes(p.done)} of ${bytes(p.total)}${left} · file ${p.index + 1} of ${p.count}`;
    }
    case "paused":
      return `${bytes(p.done)} of ${bytes(p.total)} are here and kept, also if you close the page.`;
    case "offline":
      return p.reason === "cross-origin"
        ? `That server cannot be reached, or does not let other pages read it (CORS). ${bytes(p.done)} of ${bytes(p.total)} are kept; it is asked again in ${seconds(p.retryMs)}.`
        : `There is no answer. ${bytes(p.done)} of ${bytes(p.total)} are kept. The server is asked again in ${seconds(p.retryMs)}, and so on until it answers; also at once when the network is back.`;
    case "verifying":
      return `Checking the SHA-256 of ${shown(p.file, 100)} (${p.index + 1} of ${p.count}).`;
    case "bad-shard":
      return `${shown(p.file, 100)} does not match its SHA-256. It is not used; it alone is fetched again.`;
    case "uploading":
      return `${bytes(p.done)} of ${bytes(p.total)} are on the device.`;
    case "compiling": {
      const what =
        p.total > 0
          ? `${p.done} of ${Math.max(p.total, p.done)} kernels are compiled`
          : "The kernels run once, so that the first question waits for no compiler";
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
    if (line)
      line.textContent = line.textContent!.replace(
        /[\d.]+ s$/,
        seconds(performance.now() - started.at),
      );
    else clearInterval(tick);
  }, 200);
}

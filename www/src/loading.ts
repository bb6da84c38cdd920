// The card while a model loads: four steps that fill one after the other, one line about the step
// under way, two buttons that stay where they are.

import { type Progress, shown } from "mqt-web";
import { page } from "./actions";
import { bytes, find, h, seconds } from "./dom";
import { area, button, show } from "./notices";
import { loading as words } from "./words";

type Step = keyof typeof words.steps;
const STEPS = Object.keys(words.steps) as Step[];

const STEP_OF: Partial<Record<Progress["phase"], Step>> = {
  downloading: "fetch",
  paused: "fetch",
  offline: "fetch",
  "bad-shard": "fetch",
  verifying: "check",
  uploading: "send",
  compiling: "warm",
};

/** The phase under way, since when, and what had arrived then. */
let now = { phase: "" as Progress["phase"] | "", at: 0, done: 0 };

const card = () => area().querySelector<HTMLElement>(".notice.loading");

/** A load begins: the card stands there until it is over. */
export function begin(): void {
  if (!card() && !area().querySelector("[data-offer]")) draw();
}

/** Shows how far loading has come; `rebuilding` after the device was lost. */
export function progress(p: Progress, rebuilding = false): void {
  // Somebody looks at another model's size meanwhile.
  if (p.phase === "taken" || area().querySelector("[data-offer]")) return;
  if (rebuilding) {
    const bar = area().querySelector("progress");
    if (bar && "total" in p && p.total > 0) bar.value = p.done / p.total;
    return;
  }
  if (!card()) draw();
  if (now.phase !== p.phase) {
    now = { phase: p.phase, at: performance.now(), done: "done" in p ? p.done : 0 };
    if (p.phase === "compiling") watchElapsed();
  }
  const made = card()!;
  made.dataset.phase = p.phase;
  fill(made, p);
  find(".line", made).textContent = describe(p);
  const pause = find<HTMLButtonElement>(".pause", made);
  // It stays what it is while files are checked between downloads.
  if (STEP_OF[p.phase] === "fetch") made.dataset.fetching = "";
  const whole = find<HTMLProgressElement>('[data-step="fetch"] progress', made).value >= 1;
  pause.disabled = whole || made.dataset.fetching === undefined;
  pause.textContent =
    p.phase === "offline" ? words.now : p.phase === "paused" ? words.resume : words.pause;
}

function draw(): void {
  now = { phase: "", at: performance.now(), done: 0 };
  const steps = STEPS.map(step =>
    h(
      "li",
      { "data-step": step },
      words.steps[step],
      h<HTMLProgressElement>("progress", { max: 1, value: 0, "aria-label": words.steps[step] }),
    ),
  );
  const toggle = () => (now.phase === "downloading" ? page.pauseDownload() : page.resumeDownload());
  const made = show({
    kind: "progress",
    title: words.title(shown(page.model.name, 60)),
    text: [h("ol.steps", ...steps), h("p.line", words.starting)],
    actions: [],
  });
  made.classList.add("loading");
  made.append(
    h(
      "div.actions",
      button({ label: words.pause, run: toggle, name: "pause" }),
      button({ label: words.cancel, run: () => page.cancelDownload(), name: "cancel" }),
    ),
  );
}

/** A step never goes back, except that a damaged file is fetched again. */
function fill(made: HTMLElement, p: Progress): void {
  const step = STEP_OF[p.phase];
  const share = "total" in p && p.total > 0 ? Math.min(1, p.done / p.total) : undefined;
  for (const item of made.querySelectorAll<HTMLElement>("[data-step]")) {
    const bar = item.querySelector("progress")!;
    const own = item.dataset.step === step;
    if (own && share !== undefined) bar.value = Math.max(bar.value, share);
    if (own && p.phase === "bad-shard") bar.value = 0;
    item.classList.toggle("now", own);
    item.classList.toggle("done", bar.value >= 1);
  }
}

function describe(p: Progress): string {
  switch (p.phase) {
    case "downloading": {
      const rate = (p.done - now.done) / Math.max(0.3, (performance.now() - now.at) / 1000);
      const left =
        rate > 0 ? words.left(bytes(rate), seconds(((p.total - p.done) / rate) * 1000)) : "";
      return words.downloading(bytes(p.done), bytes(p.total), left, p.index + 1, p.count);
    }
    case "paused":
      return words.paused(bytes(p.done), bytes(p.total));
    case "offline": {
      const say = p.reason === "cross-origin" ? words.noCors : words.noServer;
      return say(bytes(p.done), bytes(p.total), seconds(p.retryMs));
    }
    case "verifying":
      return words.verifying(shown(p.file, 100), p.index + 1, p.count);
    case "bad-shard":
      return words.damaged(shown(p.file, 100));
    case "uploading":
      return words.uploading(bytes(p.done), bytes(p.total));
    case "compiling": {
      const time = seconds(performance.now() - now.at);
      return p.total > 0
        ? words.kernels(p.done, Math.max(p.total, p.done), time)
        : words.warming(time);
    }
    case "taken":
      return "";
  }
}

/** Between two reports the device compiles, and says nothing: the seconds go on. */
function watchElapsed(): void {
  const tick = setInterval(() => {
    const line = area().querySelector('.notice.loading[data-phase="compiling"] .line');
    if (!line) return clearInterval(tick);
    line.textContent = line.textContent!.replace(/[\d.]+ s$/, seconds(performance.now() - now.at));
  }, 200);
}

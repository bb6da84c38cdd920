// The one knob: how many image tokens the language model reads. A slider over the ladder, a field for any number, or Auto.

import { app } from "./app";
import { bytes, find, h, seconds } from "./dom";
import { settings } from "./settings";
import { isOpen } from "./state";

const LADDER = [2, 4, 8, 16, 36, 64, 144, 256];

let max = __BUNDLED__.imageTokens;
let ladder = LADDER.filter((m) => m < max).concat(max);
let auto = settings.tokens() === undefined;
/** What was asked for: a larger model, loaded later, may have so many. */
let wish = Math.max(1, Math.round(settings.tokens() ?? 16));
let m = Math.min(wish, max);
const listeners: (() => void)[] = [];

/** m, if the person chose it; `undefined` is Auto. */
export const wanted = (): number | undefined => (auto ? undefined : m);
/** m as the slider shows it. */
export const shown = () => m;
export const maximum = () => max;
export const steps = () => ladder;
export const onMove = (listener: () => void) => void listeners.push(listener);

/** First words waited for with this model, by m: better than any estimate. */
const waited = new Map<number, number>();

/** An answer with so many image tokens took so long to its first word. */
export const measured = (tokens: number, ms: number) => void waited.set(tokens, ms);

/** Few tokens tell what a thing is, not how many there are nor what is written. */
const DEMANDING = /\b(how many|count|number of|read|spell|say|says|written|text)\b/i;
const FEW = 16;

// The slider's scale: each step of the ladder takes as much room as the next.
const toPlace = (value: number) => (Math.log2(value) / Math.log2(Math.max(2, max))) * 100;
const toValue = (place: number) => Math.round(2 ** (Math.max(0, Math.min(1, place)) * Math.log2(max)));
const nearest = (value: number) => ladder.reduce((best, step) => (Math.abs(Math.log2(step / value)) < Math.abs(Math.log2(best / value)) ? step : best));

export function choose(value: number): void {
  auto = false;
  wish = Math.max(1, Math.round(value));
  m = Math.min(wish, max);
  draw();
  void refresh().then(() => app.prepare());
}

/** As a link says that was followed to the open page. */
export function fromLink(): void {
  if (!settings.saysTokens()) return;
  const tokens = settings.tokens();
  if (tokens !== undefined) return choose(tokens);
  auto = true;
  draw();
  void refresh().then(() => app.prepare());
}

/** To the next step of the ladder, up or down. */
export function step(up: boolean): void {
  const next = up ? ladder.find((s) => s > m) : ladder.findLast((s) => s < m);
  if (next !== undefined) choose(next);
}

export function setUp(): void {
  const slider = find<HTMLInputElement>("#tokens");
  const field = find<HTMLInputElement>("#tokens-exact");
  const box = find<HTMLInputElement>("#auto");
  const track = find("#track");
  slider.addEventListener("input", () => choose(Number(slider.value)));
  slider.addEventListener("keydown", (event) => {
    const up = ["ArrowRight", "ArrowUp", "PageUp"].includes(event.key);
    if (!up && !["ArrowLeft", "ArrowDown", "PageDown"].includes(event.key)) return;
    event.preventDefault();
    step(up);
  });
  const drag = (event: PointerEvent) => {
    const { left, width } = track.getBoundingClientRect();
    choose(nearest(toValue((event.clientX - left) / width)));
  };
  track.addEventListener("pointerdown", (event) => {
    track.setPointerCapture(event.pointerId);
    drag(event);
    slider.focus({ preventScroll: true });
    event.preventDefault();
  });
  track.addEventListener("pointermove", (event) => event.buttons > 0 && drag(event));
  field.addEventListener("change", () => choose(Number(field.value) || m));
  box.addEventListener("change", () => {
    auto = box.checked;
    draw();
    void refresh().then(() => app.prepare());
  });
  app.onChange(() => {
    if (app.engine && app.engine.model.image_tokens_max !== max) {
      max = app.engine.model.image_tokens_max;
      ladder = app.engine.model.ladder;
      waited.clear();
      m = Math.min(wish, max);
    }
    draw();
    if (app.engine && isOpen()) void refresh();
  });
  find<HTMLTextAreaElement>("#question").addEventListener("input", () => isOpen() && void refresh());
  draw();
  void refresh();
}

function draw(): void {
  const slider = find<HTMLInputElement>("#tokens");
  slider.max = String(max);
  slider.value = String(m);
  slider.setAttribute("aria-valuetext", `${m} of ${max} image tokens`);
  find<HTMLInputElement>("#auto").checked = auto;
  const field = find<HTMLInputElement>("#tokens-exact");
  field.max = String(max);
  field.value = String(m);
  const track = find("#track");
  track.classList.toggle("auto", auto);
  find(".fill", track).style.inlineSize = `${toPlace(m)}%`;
  find(".thumb", track).style.insetInlineStart = `${toPlace(m)}%`;
  const ticks = ladder.map((step) => {
    const tick = h(step <= m ? "span.tick.on" : "span.tick", h("i"), h("b", String(step)));
    tick.style.insetInlineStart = `${toPlace(step)}%`;
    return tick;
  });
  find(".ticks", track).replaceChildren(...ticks);
  for (const listener of listeners) listener();
}

let latest = 0;

/** Asks the engine what a question would cost now. */
export async function refresh(): Promise<void> {
  const line = find("#estimate");
  const ours = ++latest;
  if (!app.engine) {
    line.textContent = auto ? "Auto chooses when the model has measured this device." : `${m} of ${max} image tokens.`;
    return;
  }
  try {
    const question = find<HTMLTextAreaElement>("#question").value;
    const { targetMs } = settings.sampling();
    const [estimate, most] = await Promise.all([app.engine.estimate(wanted(), question, targetMs), app.engine.estimate(max, question)]);
    if (ours !== latest) return;
    if (auto && estimate.image_tokens !== m) {
      m = estimate.image_tokens;
      draw();
    }
    const last = waited.get(m);
    const about = (ms: number | null) => (ms === null ? "not measured yet" : `≈ ${seconds(ms)}`);
    const parts = [
      h("b", auto ? `Auto: ${m}` : `${m} image tokens`),
      auto ? `, ${estimate.reason}` : m % 2 === 1 ? " (the model was trained with even numbers)" : "",
      h("br"),
      last === undefined ? h("em", `first word ${about(estimate.first_word_from_scratch_ms)}`) : `first word ${seconds(last)} last time`,
      estimate.words_per_second ? h("em", ` · ${estimate.words_per_second.toFixed(1)} words/s`) : "",
      ` · +${bytes(estimate.cache_bytes)} memory`,
      m === max ? "" : h("span.quiet", ` (${max}: ${about(most.first_word_from_scratch_ms)})`),
      m < FEW && m < max && DEMANDING.test(question) ? h("span.hint", "Counting and reading want more image tokens.") : "",
    ];
    line.replaceChildren(...parts.filter((part) => part !== ""));
  } catch {
    // The engine is going away; the page says so elsewhere.
  }
}

// The one knob: how many image tokens the language model reads. A slider over the ladder, a field
// for any number, or Auto.

import { type Loaded, type Offer, shown as safe } from "mqt-web";
import { app } from "./app";
import { bytes, count, find, h, reveal, seconds } from "./dom";
import { bundledOffer, gives, inWords, nearest, nearestStep } from "./offer";
import { settings } from "./settings";
import { isOpen } from "./state";

let offer: Offer = bundledOffer;
let auto = true;
/** What was asked for: another model, loaded later, may offer it. */
let wish = 16;
let m = nearest(offer, wish);
const listeners: (() => void)[] = [];

/** m, if the person chose it; `undefined` is Auto. */
export const wanted = (): number | undefined => (auto ? undefined : m);
/** m as the slider shows it. */
export const shown = () => m;
export const maximum = () => offer.max;
/** What the loaded model gives; until one is loaded, the bundled one. */
export const offered = (): Offer => offer;
export const onMove = (listener: () => void) => void listeners.push(listener);

/** The model that `offer` is of. */
let known: Loaded | undefined;

/** First words waited for with this model, by m: better than any estimate. */
const waited = new Map<number, number>();

/** Notes how long an answer with this many image tokens took to its first token. */
export const measured = (tokens: number, ms: number) => void waited.set(tokens, ms);

/** Few tokens tell what a thing is, not how many there are nor what is written. */
const DEMANDING = /\b(how many|count|number of|read|spell|say|says|written|text)\b/i;
const FEW = 16;

// The slider's scale: each step of the ladder takes as much room as the next.
const toPlace = (value: number) => (Math.log2(value) / Math.log2(Math.max(2, offer.max))) * 100;
const toValue = (place: number) => 2 ** (Math.max(0, Math.min(1, place)) * Math.log2(offer.max));

/** One line under the knob: what is not possible, and what holds instead. */
function say(text: string, isWrong = false): void {
  find("#tokens-note").textContent = text;
  find("#tokens-exact").ariaInvalid = isWrong ? "true" : null;
  if (isWrong) reveal(find("#tokens-note"));
}

const outcome = () => (auto ? "Auto" : String(m));

/** Takes this number, or the nearest that the model offers. */
export function choose(value: number): void {
  auto = false;
  wish = Math.max(1, Math.round(value));
  m = nearest(offer, wish);
  say("");
  draw();
  void refresh().then(() => app.prepare());
}

/** What somebody typed: taken if the model offers it. */
function chooseTyped(text: string): void {
  const value = Number(text);
  if (text !== "" && gives(offer, value)) return choose(value);
  // The field keeps what was typed, so that it can be put right.
  say(`Give ${inWords(offer)}${text && `, not ${text}`}. It stays at ${outcome()}.`, true);
}

/** Takes what a link says, and tells what of it makes no sense. */
function takeLinked(): void {
  const text = settings.tokens();
  const value = /^\d{1,9}$/.test(text ?? "") ? Number(text) : 0;
  auto = value < 1;
  say("");
  if (value >= 1) wish = value;
  else if (text !== undefined && text !== "auto")
    say(
      `The link asks for “${safe(text, 40)}” image tokens: that is not a number of them. It stays at Auto.`,
    );
  // A model from elsewhere may offer it; that shows when it is loaded.
  if (app.engine || settings.model === undefined) settle("The link asks for");
  else m = nearest(offer, wish);
}

/** Takes the wish as far as the model has it; `who` asked. */
function settle(who: string): void {
  m = nearest(offer, wish);
  if (!auto && m !== wish)
    say(
      `${who} ${count(wish, "image token")}; this model gives ${inWords(offer)}. ${m} ${m === 1 ? "is" : "are"} used.`,
    );
}

/** As a link says that was followed to the open page. */
export function fromLink(): void {
  if (!settings.saysTokens()) return;
  takeLinked();
  draw();
  void refresh().then(() => app.prepare());
}

/** To the next step of the ladder, up or down. */
export function step(up: boolean): void {
  const next = up ? offer.ladder.find(s => s > m) : offer.ladder.findLast(s => s < m);
  if (next !== undefined) choose(next);
}

export function setUp(): void {
  const slider = find<HTMLInputElement>("#tokens");
  const field = find<HTMLInputElement>("#tokens-exact");
  const box = find<HTMLInputElement>("#auto");
  const track = find("#track");
  slider.addEventListener("input", () => choose(Number(slider.value)));
  slider.addEventListener("keydown", event => {
    const up = ["ArrowRight", "ArrowUp", "PageUp"].includes(event.key);
    if (!up && !["ArrowLeft", "ArrowDown", "PageDown"].includes(event.key)) return;
    event.preventDefault();
    step(up);
  });
  const drag = (event: PointerEvent) => {
    const { left, width } = track.getBoundingClientRect();
    choose(nearestStep(offer, toValue((event.clientX - left) / width)));
  };
  track.addEventListener("pointerdown", event => {
    track.setPointerCapture(event.pointerId);
    drag(event);
    slider.focus({ preventScroll: true });
    event.preventDefault();
  });
  track.addEventListener("pointermove", event => event.buttons > 0 && drag(event));
  field.addEventListener("change", () => chooseTyped(field.value));
  box.addEventListener("change", () => {
    auto = box.checked;
    say("");
    draw();
    void refresh().then(() => app.prepare());
  });
  app.onChange(() => {
    if (app.engine && app.engine.model !== known) {
      known = app.engine.model;
      offer = known.offer;
      waited.clear();
      // What was typed was meant for another model.
      if (!auto || find("#tokens-exact").ariaInvalid) say("");
      settle(settings.tokens() === String(wish) ? "The link asks for" : "You asked for");
    }
    draw();
    if (app.engine && isOpen()) void refresh();
  });
  find<HTMLTextAreaElement>("#question").addEventListener(
    "input",
    () => isOpen() && void refresh(),
  );
  takeLinked();
  draw();
  void refresh();
}

function draw(): void {
  const slider = find<HTMLInputElement>("#tokens");
  slider.max = String(offer.max);
  slider.value = String(m);
  slider.setAttribute("aria-valuetext", `${m} of ${offer.max} image tokens`);
  find<HTMLInputElement>("#auto").checked = auto;
  const field = find<HTMLInputElement>("#tokens-exact");
  field.max = String(offer.max);
  if (!field.ariaInvalid) field.value = String(m);
  const track = find("#track");
  track.classList.toggle("auto", auto);
  find(".fill", track).style.inlineSize = `${toPlace(m)}%`;
  find(".thumb", track).style.insetInlineStart = `${toPlace(m)}%`;
  const ticks = offer.ladder.map(step => {
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
    line.textContent = auto
      ? "Auto chooses when the model has measured this device."
      : `${m} of ${offer.max} image tokens.`;
    return;
  }
  try {
    const question = find<HTMLTextAreaElement>("#question").value;
    const { targetMs } = settings.sampling();
    const max = offer.max;
    const [estimate, most] = await Promise.all([
      app.engine.estimate(wanted(), question, targetMs),
      app.engine.estimate(max, question),
    ]);
    if (ours !== latest) return;
    if (auto && estimate.imageTokens !== m) {
      m = estimate.imageTokens;
      draw();
    }
    const last = waited.get(m);
    const about = (ms: number | null) => (ms === null ? "not measured yet" : `≈ ${seconds(ms)}`);
    const parts = [
      h("b", auto ? `Auto: ${m}` : count(m, "image token")),
      auto ? `, ${estimate.reason}` : "",
      h("br"),
      last === undefined
        ? h("em", `first token ${about(estimate.firstTokenFromScratchMs)}`)
        : `first token ${seconds(last)} last time`,
      estimate.tokensPerSecond ? h("em", ` · ${estimate.tokensPerSecond.toFixed(1)} tokens/s`) : "",
      ` · +${bytes(estimate.cacheBytes)} memory`,
      m === max ? "" : h("span.quiet", ` (${max}: ${about(most.firstTokenFromScratchMs)})`),
      m < FEW && m < max && DEMANDING.test(question)
        ? h("span.hint", "Counting and reading want more image tokens.")
        : "",
    ];
    line.replaceChildren(...parts.filter(part => part !== ""));
  } catch {
    // The engine is going away; the page says so elsewhere.
  }
}

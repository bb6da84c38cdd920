// The one knob: how many image tokens the language model reads. A slider over the ladder, a field
// for any number, or Auto.

import { type Answer, type Estimate, type Loaded, type Offer, shown as safe } from "mqt-web";
import { page } from "./actions";
import { bundled } from "./bundled";
import { bytes, find, h, reveal, seconds } from "./dom";
import { bundledOffer, gives, inWords, nearest, nearestStep } from "./offer";
import { selected } from "./selecting";
import { settings } from "./settings";
import { isOpen } from "./state";
import { knob as words } from "./words";

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
/** What Auto will choose is not known before this device was measured. */
export const isUndecided = () => auto && !page.engine;
/** What the loaded model gives; until one is loaded, the bundled one. */
export const offered = (): Offer => offer;
export const onMove = (listener: () => void) => void listeners.push(listener);

/** The model that `offer` is of. */
let known: Loaded | undefined;

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

const outcome = () => (auto ? words.auto : String(m));

/** Takes this number, or the nearest that the model offers. */
export function choose(value: number): void {
  auto = false;
  wish = Math.max(1, Math.round(value));
  m = nearest(offer, wish);
  say("");
  draw();
  void refresh().then(() => page.prepare());
}

/** What somebody typed: taken if the model offers it. */
function chooseTyped(text: string): void {
  const value = Number(text);
  if (text !== "" && gives(offer, value)) return choose(value);
  // The field keeps what was typed, so that it can be put right.
  say(words.typed(inWords(offer), text, outcome()), true);
}

/** Takes what a link says, and tells what of it makes no sense. */
function takeLinked(): void {
  const text = settings.tokens();
  const value = /^\d{1,9}$/.test(text ?? "") ? Number(text) : 0;
  auto = value < 1;
  say("");
  if (value >= 1) wish = value;
  else if (text !== undefined && text !== "auto") say(words.linkNonsense(safe(text, 40)));
  // A model from elsewhere may offer it; that shows when it is loaded.
  if (page.engine || settings.model === undefined) settle(words.linkAsks);
  else m = nearest(offer, wish);
}

/** Takes the wish as far as the model has it; `who` asked. */
function settle(who: string): void {
  m = nearest(offer, wish);
  if (!auto && m !== wish) say(words.instead(who, wish, inWords(offer), m));
}

/** What the model gives for the picture in front of it. */
export function take(next: Offer): void {
  if (JSON.stringify(next) === JSON.stringify(offer)) return;
  offer = next;
  if (!auto || find("#tokens-exact").ariaInvalid) say("");
  settle(words.youAsked);
  draw();
  if (isOpen()) void refresh();
}

/** As it was before anybody chose. */
export function reset(): void {
  auto = true;
  say("");
  draw();
  void refresh();
}

/** Goes on with the m that somebody chose before a reload, unless a link says another. */
export function goOn(chosen: number | undefined): void {
  if (chosen === undefined || settings.tokens() !== undefined) return;
  [auto, wish] = [false, chosen];
  m = nearest(offer, wish);
  draw();
  void refresh();
}

/** As a link says that was followed to the open page. */
export function fromLink(): void {
  if (!settings.saysTokens()) return;
  takeLinked();
  draw();
  void refresh().then(() => page.prepare());
}

/** Image tokens are chosen in another way now: there may be other numbers of them. */
export async function reselect(): Promise<void> {
  const next = await page.engine?.offer(selected()).catch(() => undefined);
  if (next) take(next);
  await refresh();
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
    void refresh().then(() => page.prepare());
  });
  page.onChange(() => {
    if (page.engine && page.engine.model !== known) {
      known = page.engine.model;
      offer = known.offer;
      // What was typed was meant for another model.
      if (!auto || find("#tokens-exact").ariaInvalid) say("");
      settle(settings.tokens() === String(wish) ? words.linkAsks : words.youAsked);
      if (selected()) void reselect();
    }
    draw();
    if (page.engine && isOpen()) void refresh();
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
  slider.setAttribute("aria-valuetext", isUndecided() ? words.auto : words.valueText(m, offer.max));
  find<HTMLInputElement>("#auto").checked = auto;
  const field = find<HTMLInputElement>("#tokens-exact");
  field.max = String(offer.max);
  field.placeholder = isUndecided() ? "?" : "";
  if (!field.ariaInvalid) field.value = isUndecided() ? "" : String(m);
  const track = find("#track");
  track.classList.toggle("auto", auto);
  track.classList.toggle("open", isUndecided());
  find(".fill", track).style.inlineSize = `${toPlace(m)}%`;
  find(".thumb", track).style.insetInlineStart = `${toPlace(m)}%`;
  const ticks = offer.ladder.map(step => {
    const tick = h(
      step <= m && !isUndecided() ? "span.tick.on" : "span.tick",
      h("i"),
      h("b", String(step)),
    );
    // A whole level: the picture is cut more finely from there on.
    const isLevel = offer.levels.length > 1 && offer.levels.some(l => l.imageTokens === step);
    tick.classList.toggle("level", isLevel);
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
  if (!page.engine) {
    line.textContent = auto ? words.autoLater : words.ofMax(m, offer.max);
    return;
  }
  try {
    const question = find<HTMLTextAreaElement>("#question").value;
    const how = { targetMs: settings.sampling().targetMs, select: selected() };
    const [estimate, most] = await Promise.all([
      page.engine.estimate(wanted(), question, how),
      page.engine.estimate(offer.max, question, how),
    ]);
    if (ours !== latest) return;
    if (auto && estimate.imageTokens !== m) {
      m = estimate.imageTokens;
      draw();
    }
    line.replaceChildren(...describe(estimate, most, question));
  } catch {
    // The engine is going away; the page says so elsewhere.
  }
}

/** What m costs now, and what it would cost with all image tokens. */
function describe(now: Estimate, most: Estimate, question: string): (Node | string)[] {
  const { max } = offer;
  const pictures = Math.max(1, page.pictures.length);
  // Within a conversation m stays; why it was chosen is what counts.
  const turns = page.turns as Answer[];
  const isKept = turns.every(turn => turn.imageTokensMode === "auto");
  // That of other pictures is none for these.
  const kept = isKept && turns[0]?.images.length === page.pictures.length ? turns[0] : undefined;
  const reason = kept ? words.autoKept(kept.imageTokensReason) : now.reason;
  const [first, why] = auto ? words.autoIs(m, reason, pictures) : [words.tokens(m, pictures), ""];
  // What was read while the person typed does not come any more.
  const time =
    now.firstTokenMs === null ? words.unmeasured : words.about(seconds(now.firstTokenMs));
  const parts = [
    h("b", first),
    why,
    offer.levels.length > 1 ? words.cut(tiles(m)) : "",
    words.first(time, isAhead(now)),
    h("br"),
    words.buys(
      now.contextUsed,
      bytes(now.cacheBytes),
      most.contextUsed,
      bytes(most.cacheBytes),
      max,
    ),
    ...larger(most),
    m < FEW && m < max && DEMANDING.test(question) ? h("span.hint", words.demanding) : "",
  ];
  return parts.filter(part => part !== "");
}

/** Squares that a picture is cut into for so many image tokens: the finest level that they reach. */
function tiles(m: number): number {
  const level = offer.levels.findLast(({ imageTokens }) => imageTokens <= m) ?? offer.levels[0];
  return level?.tiles ?? 1;
}

/** Whether most of what a question needs is read before it is asked. */
const isAhead = ({ firstTokenMs, firstTokenFromScratchMs }: Estimate): boolean =>
  firstTokenMs !== null &&
  firstTokenFromScratchMs !== null &&
  firstTokenFromScratchMs > 1.5 * firstTokenMs;

/** Where the shortest time for a token of a prompt is remembered, and on which device. */
const QUICKEST = "mqt-quickest";

/** The first prompts find a device at rest, and say little of it. */
const FIRST = 3;

/**
 * The shortest time that was ever measured here: what else the device does only adds to it. There
 * is none before it was measured some times.
 */
function quickest(each: number): number | undefined {
  const device = page.engine?.model.adapter.name ?? "";
  try {
    const [where, before] = JSON.parse(localStorage.getItem(QUICKEST) ?? "[]");
    if (where === device && before > 0 && before <= each) return before;
    if (where !== device && page.records.length < FIRST) return undefined;
    localStorage.setItem(QUICKEST, JSON.stringify([device, each]));
  } catch {
    // It is what was measured last, then.
  }
  return each;
}

/** An estimate has one figure that counts: 2.7 min → "3 min", 83 s → "80 s". */
function roughly(ms: number): string {
  const unit = ms >= 120_000 ? 60_000 : 1000;
  const step = 10 ** Math.floor(Math.log10(ms / unit));
  const value = Math.round(ms / unit / step) * step;
  return `${value >= 1 ? value : value.toFixed(1)} ${unit === 1000 ? "s" : "min"}`;
}

/** A 7B model of this architecture reads so many image tokens at most. */
const LARGER_MAX = 256;

/**
 * What reading m image tokens would take with a model of 7B, at the speed that this device showed
 * with the bundled one: on a device that is fast enough for any m it shows what m is for.
 */
function larger(most: Estimate): (Node | string)[] {
  const all = most.firstTokenFromScratchMs;
  if (page.model.from !== bundled.from || all === null) return [];
  const { max } = offer;
  const each = quickest(all / most.contextUsed);
  if (each === undefined) return [];
  const takes = (tokens: number) => roughly(each * __BUNDLED__.larger * tokens);
  const share = Math.max(1, Math.round((m / max) * LARGER_MAX));
  return [h("span.larger", words.larger(takes(share), share, takes(LARGER_MAX), LARGER_MAX))];
}

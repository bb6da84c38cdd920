// The card of the first visit: what image tokens are and what they buy, shown with recorded answers
// before anything is downloaded. One click downloads, loads, asks and compares.

import { plainAddress, shown } from "mqt-web";
import { page } from "./actions";
import { bundled } from "./bundled";
import { bytes, find, h } from "./dom";
import { type Action, type Notice, area, sentence, show } from "./notices";
import { type RecordedAnswer, compared, demo, others } from "./recorded";
import { samples } from "./samples";
import { settings } from "./settings";
import { state } from "./state";
import { welcome as words } from "./words";

export const otherModel: Action = { label: words.another, run: () => page.open("models") };

/** Draws the card at once, and again if the model turns out to be stored or the device to be slow. */
export async function welcome(): Promise<void> {
  if (settings.wrongModel) return void show(wrongAddress(settings.wrongModel));
  draw(false);
  const stored = await page.isStored();
  if (stored) redraw(true);
}

/** What was found out meanwhile changes the card, if it still stands there. */
export function redraw(stored: boolean): void {
  if (area().querySelector(".welcome.first") && !page.loading && state() === "first-visit")
    draw(stored);
}

function draw(stored: boolean): void {
  const own = page.model.from === bundled.from;
  const back = find("#answers").querySelector("article") !== null;
  const software = page.seen?.adapter?.software && !page.isOnProcessor;
  const text = [
    ...(own && !back
      ? [h("p.lead", words.lead), example(stored), h("p.small", words.others), more()]
      : []),
    back
      ? words.back
      : h("p.small.quiet", [page.isOnProcessor ? words.cpu : words.gpu, about(stored)].join(" ")),
    software ? h("p.small.quiet", words.software) : "",
  ].filter(part => part !== "");
  const actions: Action[] = [begin(stored, own && !back)];
  if (software) actions.push({ label: words.useCpu, run: () => page.switchTo({ adapter: "cpu" }) });
  const card = show({
    kind: "welcome",
    title: back ? words.titleBack : words.title,
    text,
    actions: [...actions, otherModel],
  });
  card.classList.add("first");
  card.classList.toggle("back", back);
}

/** What loads the model and does nothing else; the example is the first thing to press. */
function begin(stored: boolean, hasExample: boolean): Action {
  const { model } = page;
  const own = model.from === bundled.from;
  const label = stored
    ? words.startStored
    : own
      ? words.start(bytes(__BUNDLED__.bytes))
      : typeof model.from !== "string"
        ? words.load
        : words.checkSize;
  const run = () => (own || stored ? page.start() : page.offer(model));
  return { label, run, main: !hasExample, name: "start" };
}

function about(stored: boolean): string {
  const { model } = page;
  const name = plainAddress(model.name);
  if (model.from === bundled.from) return words.knows;
  if (typeof model.from !== "string") return words.fromDisk(shown(model.name, 100));
  return stored ? words.stored(name) : words.elsewhere(name);
}

/** The link's model cannot be asked for: nothing of it is, and the bundled one is there. */
const wrongAddress = (message: string): Notice => ({
  kind: "trouble",
  title: words.wrongAddress,
  text: [sentence(message), words.nothingFetched],
  actions: [
    {
      label: words.bundled,
      run: () => ((settings.wrongModel = undefined), welcome()),
      main: true,
    },
    otherModel,
  ],
});

const run = (recorded: RecordedAnswer) =>
  page.example(recorded.sample, recorded.question, compared(recorded));

/** One question about one picture with 2, 8 and 64 image tokens. */
function example(stored: boolean): HTMLElement {
  const columns = demo.answers.map(([m, answer], i) =>
    h(
      "div.recorded-answer",
      h("b", words.withTokens(m)),
      strip(m),
      h(i === 0 ? "p.worse" : "p", answer),
    ),
  );
  return h(
    "div.demo",
    h<HTMLImageElement>("img", {
      src: samples[demo.sample]!.url,
      alt: "",
      width: 132,
      height: 99,
    }),
    h("p.asked", words.asked(demo.question)),
    h("div.recorded-answers", ...columns),
    h(
      "button.main.try",
      { type: "button", onclick: () => void run(demo) },
      stored ? words.tryStored : words.try(bytes(__BUNDLED__.bytes)),
    ),
  );
}

/** m of the 64 cells are lit. */
function strip(m: number): HTMLElement {
  const made = h("span.mini", { "aria-hidden": "true" });
  made.style.setProperty("--share", String(m / __BUNDLED__.imageTokens));
  return made;
}

/** Other questions whose answer hangs on m, as buttons. */
export function more(): HTMLElement {
  const cards = others.map(recorded => {
    const [[, few], [, many]] = recorded.answers as [[number, string], [number, string]];
    return h(
      "button.example",
      {
        type: "button",
        onclick: () => void run(recorded),
      },
      h<HTMLImageElement>("img", {
        src: samples[recorded.sample]!.url,
        alt: "",
        width: 52,
        height: 52,
      }),
      h("span", h("b", recorded.question), " ", h("span", `2: ${few} · 64: ${many}`)),
    );
  });
  return h("div.examples", ...cards);
}

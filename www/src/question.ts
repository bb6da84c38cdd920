// The box for questions: what is typed or chosen is asked, stopped, compared.

import { page } from "./actions";
import { bundled } from "./bundled";
import { chosenColumns } from "./chosen";
import { bytes, find, h } from "./dom";
import { closeMenus } from "./menu";
import { lay } from "./overlay";
import { samples } from "./samples";
import { isBusy, isOpen, onState, state } from "./state";
import * as tokens from "./tokens";
import { talk as words } from "./words";

const box = () => find<HTMLTextAreaElement>("#question");
const askButton = () => find<HTMLButtonElement>("#ask");

/** Whether a question about the picture could be asked now, or wait for the model. */
function mayAsk(): boolean {
  const mayWait =
    page.loading !== undefined ||
    page.isReading ||
    ["first-visit", "no-webgpu", "saving-data"].includes(state());
  return page.picture !== undefined && (isOpen() || (mayWait && !page.isWaiting));
}

/** Questions that fit the picture: one click asks them. */
function chips(): void {
  // With several pictures every question is about all of them.
  const sample = page.pictures.length < 2 && samples.find(s => s.name === page.pictures[0]?.name);
  const own = (sample || undefined)?.questions ?? [];
  const general = page.pictures.length > 1 ? words.examplesOfSeveral : words.examples;
  const texts = own.length > 0 ? own.slice(0, 4).map(q => q.text) : general;
  const make = (text: string) =>
    h("button.chip", { type: "button", onclick: () => ask(text, false) }, text);
  const row = find("#chips");
  row.hidden = !page.picture;
  if ([...row.children].map(chip => chip.textContent).join() !== texts.join()) {
    row.replaceChildren(...texts.map(make));
    row.scrollTo(0, 0);
  }
}

function refresh(): void {
  const text = box().value.trim() !== "";
  const may = mayAsk();
  const able = text && may;
  const [ask, stop] = [askButton(), find<HTMLButtonElement>("#stop")];
  // One of them stands there: what can be done now.
  const stops =
    page.isWaiting || (able ? isBusy() && !page.isReading : isBusy() || page.loading !== undefined);
  const focused = document.activeElement === ask || document.activeElement === stop;
  [stop.hidden, ask.hidden] = [!stops, stops];
  if (focused) (stops ? stop : ask).focus();
  ask.disabled = !able;
  find<HTMLButtonElement>("#compare").disabled = !able || !page.engine;
  for (const chip of find("#chips").children) (chip as HTMLButtonElement).disabled = !may;
  const hint = !page.picture
    ? words.noPicture
    : !page.engine && !page.loading && state() === "first-visit"
      ? words.startsDownload(page.model === bundled ? bytes(__BUNDLED__.bytes) : page.model.name)
      : "";
  const isBack = state() === "first-visit" && page.turns.length > 0 && !page.loading;
  find("#ask-hint").textContent = isBack ? words.loadsFirst : hint;
}

function ask(question: string, isTyped: boolean): void {
  if (!mayAsk() || question === "") return;
  box().value = "";
  grow();
  void page.ask(question, isTyped);
  refresh();
}

function compare(): void {
  const question = box().value.trim();
  if (!question) return;
  box().value = "";
  grow();
  void page.compare(question, chosenColumns(tokens.offered()));
  refresh();
}

function grow(): void {
  box().style.blockSize = "auto";
  box().style.blockSize = `${Math.min(box().scrollHeight + 2, 180)}px`;
}

function keys(event: KeyboardEvent): void {
  const typing =
    event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
  // In a dialog Escape closes that, and nothing else.
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") {
    if (closeMenus()) return;
    if (isBusy() || page.loading || state() === "saving-data") page.stop();
    else lay();
  } else if (!typing && event.key === "[") tokens.step(false);
  else if (!typing && event.key === "]") tokens.step(true);
}

export function setUp(): void {
  find("#composer-form").addEventListener("submit", event => {
    event.preventDefault();
    if (!askButton().disabled) ask(box().value.trim(), true);
  });
  box().addEventListener("keydown", event => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!askButton().disabled) ask(box().value.trim(), true);
  });
  box().addEventListener("input", () => (grow(), refresh()));
  find("#stop").addEventListener("click", () => page.stop());
  find("#compare").addEventListener("click", compare);
  find("#anew").addEventListener("click", () => void page.startAnew());
  document.addEventListener("keydown", keys);
  onState(refresh);
  page.onChange(() => (chips(), refresh()));
  chips();
  refresh();
  measure();
}

/** How much of a small screen the box covers: what is scrolled to stays clear of it. */
function measure(): void {
  const [form, entry] = [find("#composer-form"), find(".entry")];
  const observer = new ResizeObserver(() => {
    const covers = getComputedStyle(form).display === "contents" ? entry : form;
    document.documentElement.style.setProperty("--composer", `${covers.offsetHeight}px`);
  });
  observer.observe(form);
  observer.observe(entry);
}

// Puts the page together. Nothing is downloaded, compiled or switched on here: that takes a click.

import "./style.css";
import { programRecord } from "mqt-web";
import { app } from "./app";
import * as benchmark from "./benchmark";
import { compare } from "./conversation";
import { find, h, log } from "./dom";
import * as drawer from "./drawer";
import { failed } from "./failures";
import * as models from "./models";
import { welcome } from "./notices";
import * as picture from "./picture";
import { openDiagnostics, report } from "./report";
import { samples } from "./samples";
import { isBusy, isOpen, onState, state } from "./state";
import * as tokens from "./tokens";

const box = find<HTMLTextAreaElement>("#question");
const askButton = find<HTMLButtonElement>("#ask");
const stopButton = find<HTMLButtonElement>("#stop");
const compareButton = find<HTMLButtonElement>("#compare");

const EXAMPLES = [
  "Describe the picture",
  "How many things are there?",
  "What is in the middle?",
  "Is there a dog?",
];

/** Examples that fit the picture, if it is a sample. */
function chips(): void {
  const own =
    samples
      .find(sample => sample.name === app.picture?.name)
      ?.questions.slice(0, 4)
      .map(q => q.text) ?? [];
  const make = (text: string) =>
    h(
      "button.chip",
      {
        type: "button",
        onclick: () => ((box.value = text), box.focus(), refresh(), void tokens.refresh()),
      },
      text,
    );
  find("#chips").replaceChildren(...(own.length > 0 ? own : EXAMPLES).map(make));
}

function refresh(): void {
  const text = box.value.trim() !== "";
  // While a question is answered, the next one can already be typed; until the model is there, one
  // can wait for it.
  const mayWait = (app.loading !== undefined || state() === "first-visit") && !app.isWaiting;
  const able = text && app.picture !== undefined && (isOpen() || mayWait);
  askButton.disabled = !able;
  compareButton.disabled = !able || !app.engine;
  stopButton.disabled = !isBusy() && !app.loading && !app.isWaiting;
  const hint = !app.picture
    ? "First choose a picture."
    : !app.engine && state() === "first-visit"
      ? "Asking starts the download."
      : "";
  find("#ask-hint").textContent = text ? hint : "";
}

function ask(): void {
  const question = box.value.trim();
  if (askButton.disabled || question === "") return;
  box.value = "";
  grow();
  refresh();
  void app.ask(question);
}

function grow(): void {
  box.style.blockSize = "auto";
  box.style.blockSize = `${Math.min(box.scrollHeight + 2, 180)}px`;
}

function keys(event: KeyboardEvent): void {
  const typing =
    event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
  // In a dialog Escape closes that, and nothing else.
  if (document.querySelector("dialog[open]")) return;
  const drawer = find<HTMLDetailsElement>(".drawer");
  if (event.key === "Escape" && drawer.open) drawer.open = false;
  else if (event.key === "Escape" && (isBusy() || app.loading)) app.stop();
  else if (!typing && event.key === "[") tokens.step(false);
  else if (!typing && event.key === "]") tokens.step(true);
}

find("#composer-form").addEventListener("submit", event => {
  event.preventDefault();
  ask();
});
box.addEventListener("keydown", event => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  ask();
});
box.addEventListener("input", () => (grow(), refresh()));
stopButton.addEventListener("click", () => app.stop());
compareButton.addEventListener("click", () => {
  const question = box.value.trim();
  if (!question) return;
  box.value = "";
  refresh();
  compare(question);
});
find("#anew").addEventListener("click", () => void app.startAnew());
find("#open-storage").addEventListener("click", () => void models.openStorage());
find("#open-models").addEventListener("click", () => models.open());
find("#open-benchmark").addEventListener("click", () => benchmark.open());
find("#open-diagnostics").addEventListener("click", () => void openDiagnostics());
// A shortcut for the mouse; the button stands beside it for everyone.
find("#status").addEventListener("click", () => void openDiagnostics());
document.addEventListener("keydown", keys);
onState(refresh);
app.onChange(() => (chips(), refresh()));

const network = () => (document.body.dataset.network = navigator.onLine ? "online" : "offline");
addEventListener("online", network);
addEventListener("offline", network);
network();

// How much of a small screen the box for questions covers: what is scrolled to stays clear of it.
const [form, entry] = [find("#composer-form"), find(".entry")];
const measure = new ResizeObserver(() => {
  const covers = getComputedStyle(form).display === "contents" ? entry : form;
  document.documentElement.style.setProperty("--composer", `${covers.offsetHeight}px`);
});
measure.observe(form);
measure.observe(entry);

picture.setUp();
tokens.setUp();
drawer.setUp();
chips();
refresh();
void welcome();

// For the curious, in the browser's console.
Object.assign(globalThis, { mqt: Object.assign(app, { report, failed, programRecord }) });

if ("serviceWorker" in navigator && import.meta.env.PROD)
  navigator.serviceWorker
    .register("sw.js")
    .catch(error => log(`no offline copy of the page: ${error.message}`));

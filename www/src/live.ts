// Live captions: one question about what the camera sees, asked again as fast as the device allows,
// with few image tokens. One request at a time; the camera is off once they stop.

import { type Engine, EngineError } from "mqt-web";
import { page } from "./actions";
import { bundled } from "./bundled";
import { type Facing, screen, still, switchOff, switchOn } from "./camera";
import { bytes, dialog, h } from "./dom";
import { nearest } from "./offer";
import { knowsScenesOnly } from "./picture";
import { state } from "./state";
import * as tokens from "./tokens";
import { live as words } from "./words-later";

/** Few tokens are what makes it live. */
const COUNTS = [2, 4, 8];
/** A caption is short: the next frame waits. */
const MOST_WORDS = 32;
/** Larger frames take longer to read, and no tower sees more at once. */
const MOST_PIXELS = 512;
/** Frames and tokens are counted over so long. */
const WINDOW_MS = 4000;

let box: HTMLDialogElement | undefined;
let video: HTMLVideoElement;
let stream: MediaStream | undefined;
let facing: Facing = "environment";
let m = 4;
/** What is running now; another object with every start. */
let running: AbortController | undefined;
/** What was counted: when, and how many tokens. */
let counted: { at: number; tokens: number }[] = [];

const question = h<HTMLInputElement>("input", { type: "text", maxLength: 200 });
const caption = h("p.live-caption", { dir: "auto" });
const rate = h("p.small.quiet");
const note = h("p.small", { role: "status" });
const go = h<HTMLButtonElement>("button.main", { type: "button" });
const turn = h<HTMLButtonElement>("button", { type: "button", hidden: true }, words.turn);
const counts = h("div.segments", { role: "group", "aria-label": words.counts });

/** Opens the dialog; the camera stays off until *Start* is pressed. */
export async function openLive(): Promise<void> {
  box ??= build();
  m = nearest(tokens.offered(), m);
  note.textContent = knowsScenesOnly() ? words.scenes : "";
  await draw();
  box.showModal();
}

function build(): HTMLDialogElement {
  video = screen();
  question.value = words.question;
  go.onclick = () => (running ? stop() : void start());
  turn.onclick = () => void turnAround();
  const made = dialog(
    "live",
    words.title,
    h("div.live-screen", video, caption),
    rate,
    h("label.live-question", words.ask, question),
    h("div.line", h("span.small", words.counts), counts),
    note,
    h("div.actions.end.stick", turn, go),
  );
  made.addEventListener("close", () => stop());
  document.addEventListener("visibilitychange", () => document.hidden && stop(words.hidden));
  addEventListener("pagehide", () => stop());
  page.onChange(putOff);
  return made;
}

async function draw(): Promise<void> {
  const offered = [...new Set(COUNTS.map(count => nearest(tokens.offered(), count)))];
  const make = (count: number) =>
    h(
      "button",
      {
        type: "button",
        "aria-pressed": String(count === m),
        onclick: () => ((m = count), void draw()),
      },
      String(count),
    );
  counts.replaceChildren(...offered.map(make));
  const stored = page.engine !== undefined || (await page.isStored());
  go.textContent = running ? words.stop : stored ? words.start : words.load(size());
}

const size = () => (page.model === bundled ? bytes(__BUNDLED__.bytes) : page.model.name);

/** Switches the camera on, and asks until somebody stops it. */
async function start(): Promise<void> {
  const mine = (running = new AbortController());
  counted = [];
  [note.textContent, rate.textContent, caption.textContent] = ["", "", ""];
  void draw();
  if (!(await aim()) || running !== mine) return;
  note.textContent = page.engine ? "" : words.loading;
  try {
    await page.borrow(async (engine, signal) => {
      signal.addEventListener("abort", () => running === mine && stop());
      note.textContent = "";
      void draw();
      while (running === mine && !signal.aborted) await describe(engine, mine);
    });
    if (running === mine) stop();
  } catch {
    // What went wrong, and what to press, stands on the page.
    if (running === mine) box?.close();
  }
}

/** One frame, one answer. */
async function describe(engine: Engine, mine: AbortController): Promise<void> {
  const { signal } = mine;
  try {
    await engine.look(await still(video, MOST_PIXELS), { signal });
    // A scene that did not change is the same picture, and would go on with its conversation.
    await engine.startAnew();
    const asked = { question: question.value.trim() || words.question, tokens: m, signal };
    const answer = await engine.ask({ ...asked, maxNewTokens: MOST_WORDS }).answer;
    if (running !== mine || answer.finishReason === "cancelled") return;
    caption.textContent = answer.answer.trim() || words.nothing;
    count(answer.completionTokens);
  } catch (error) {
    if (EngineError.from(error).code !== "cancelled") throw error;
  }
}

function count(completion: number): void {
  const now = performance.now();
  counted.push({ at: now, tokens: completion });
  counted = counted.filter(({ at }) => now - at <= WINDOW_MS).slice(-100);
  // From the first of them to the last: so many steps between them.
  const [first, ...later] = counted;
  const seconds = (now - (first?.at ?? now)) / 1000;
  if (later.length === 0 || seconds === 0) return;
  const sum = later.reduce((all, { tokens }) => all + tokens, 0);
  rate.textContent = words.rate((later.length / seconds).toFixed(1), (sum / seconds).toFixed(0), m);
}

/** The camera on the wanted side; what is wrong with it is said. */
async function aim(): Promise<boolean> {
  switchOff(stream);
  const mine = running;
  const [found, problem] = await switchOn(facing);
  if (!found) return (stop(problem), false);
  if (running !== mine) return (switchOff(found), false);
  stream = found;
  found.getVideoTracks()[0]?.addEventListener("ended", () => stream === found && stop(words.ended));
  video.srcObject = found;
  video.classList.toggle("mirrored", facing === "user");
  const cameras = await navigator.mediaDevices.enumerateDevices().catch(() => []);
  turn.hidden = cameras.filter(({ kind }) => kind === "videoinput").length < 2;
  await video.play().catch(() => undefined);
  if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA)
    await new Promise(seen => video.addEventListener("loadeddata", seen, { once: true }));
  return running === mine;
}

async function turnAround(): Promise<void> {
  facing = facing === "user" ? "environment" : "user";
  if (running) await aim();
}

/** The page asks before it downloads, where data is to be saved: the dialog makes room. */
function putOff(): void {
  if (!running || state() !== "saving-data") return;
  note.textContent = ""; // what is asked stays
  page.release(false);
  box?.close();
}

/** Switches the camera off; what is being computed is stopped. */
function stop(why = ""): void {
  switchOff(stream);
  stream = undefined;
  video.srcObject = null;
  const was = running;
  running = undefined;
  was?.abort();
  if (was && note.textContent === words.loading) page.stop();
  if (why || was) note.textContent = why;
  turn.hidden = true;
  void draw();
}

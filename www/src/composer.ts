// The scene composer: stickers on a ground, dragged or moved with the keyboard, handed over as a
// picture. Anyone can pose a question that nobody posed before. Loaded when it is opened.

import type { Put } from "./actions";
import { dialog, find, h } from "./dom";
import { type Sticker, type Vocabulary, distance, inWords, rgb, vocabulary } from "./scenes";
import { picture as names } from "./words";
import { composer as words } from "./words-later";

/** Side of the canvas in pixels. */
const SIDE = 448;
/** Colours nearer than this cannot be told apart at a glance. */
const CLEAR = 90;

interface Thing {
  sticker: Sticker;
  colour: string;
  /** Centre and half extent, in parts of the side. */
  x: number;
  y: number;
  r: number;
}

let box: HTMLDialogElement | undefined;
/** Where the scene goes. */
let takes: Put;
let canvas: HTMLCanvasElement;
let known: Vocabulary;
let things: Thing[] = [];
let picked = -1;
/** What could not be fetched when it was last tried. */
let missing = "";
let colour: string;
let ground: string;

export async function openComposer(to: Put): Promise<void> {
  takes = to;
  const offered = await vocabulary();
  if (box && offered !== known) {
    // Another model knows other things.
    box.remove();
    box = undefined;
    things = [];
  }
  known = offered;
  box ??= build();
  if (things.length === 0) await scatter();
  box.showModal();
  draw();
}

function build(): HTMLDialogElement {
  [colour = "", ground = ""] = [Object.keys(known.colours)[0], known.grounds[0]];
  canvas = h<HTMLCanvasElement>("canvas#scene", {
    width: SIDE,
    height: SIDE,
    tabIndex: 0,
    role: "application",
  });
  canvas.setAttribute("aria-label", words.label);
  const palette = h(
    "div.palette",
    { role: "group", "aria-label": words.things },
    ...known.stickers.map(choice),
  );
  const colours = h("div.colours", { role: "group", "aria-label": words.colour });
  const grounds = h("div.colours", { role: "group", "aria-label": words.background });
  for (const [name, value] of Object.entries(known.colours))
    colours.append(swatch(name, name, value, () => paint(name)));
  const lay = (value: string) => {
    ground = value;
    draw();
  };
  const taken = new Map<string, number>();
  for (const value of known.grounds) {
    const name = inWords(value);
    const n = (taken.get(name) ?? 0) + 1;
    taken.set(name, n);
    grounds.append(swatch(words.ground(name, n), value, value, () => lay(value)));
  }
  const press = (label: string, run: () => unknown) =>
    h("button", { type: "button", onclick: run }, label);
  const use = h("button.main", { type: "button", onclick: () => void hand() }, words.use);
  const clear = () => {
    [things, picked, missing] = [[], -1, ""];
    draw();
  };
  const tools = h(
    "div.actions",
    press(words.larger, () => resize(1.15)),
    press(words.smaller, () => resize(1 / 1.15)),
    press(words.remove, remove),
    press(words.surprise, () => void scatter()),
    press(words.clear, clear),
  );
  const side = h(
    "div.side",
    h("p.small", words.thingsMore),
    palette,
    h("p.small", words.colours),
    colours,
    h("p.small", words.background),
    grounds,
  );
  canvas.addEventListener("pointerdown", grab);
  canvas.addEventListener("pointermove", drag);
  canvas.addEventListener("keydown", key);
  return dialog(
    "composer",
    words.title,
    h(
      "div.composer",
      h("div", canvas, tools, h("p#scene-words.small", { role: "note", "aria-live": "polite" })),
      side,
    ),
    h("div.actions.end.stick", use),
  );
}

/** A button of the palette: pressed it adds the sticker, dragged it puts it where it is dropped. */
function choice(sticker: Sticker): HTMLElement {
  const button = h("button", {
    type: "button",
    title: words.add(sticker.name),
    "aria-label": words.add(sticker.name),
  });
  let carried: Thing | undefined;
  button.append(
    sticker.url
      ? h<HTMLImageElement>("img", {
          src: sticker.url,
          alt: "",
          width: 40,
          height: 40,
          loading: "lazy",
          draggable: false,
        })
      : icon(sticker),
  );
  button.addEventListener("pointerdown", event => {
    carried = undefined;
    // A finger scrolls the palette.
    if (event.pointerType !== "touch") button.setPointerCapture(event.pointerId);
  });
  button.addEventListener("pointermove", event => {
    if (!button.hasPointerCapture(event.pointerId)) return;
    const [x, y] = place(event);
    if (!carried && x >= 0 && x <= 1 && y >= 0 && y <= 1) carried = put(sticker, x, y);
    if (carried) move(carried, x, y);
  });
  button.addEventListener("click", () => {
    if (carried) return;
    const spot = freeSpot(0.15) ?? [0.5, 0.5];
    put(sticker, ...spot);
  });
  return button;
}

function icon(sticker: Sticker): HTMLCanvasElement {
  const small = h<HTMLCanvasElement>("canvas", { width: 56, height: 56 });
  small.dataset.sticker = sticker.name;
  tint(small, sticker);
  return small;
}

function tint(small: HTMLCanvasElement, sticker: Sticker): void {
  const context = small.getContext("2d")!;
  context.reset();
  context.translate(28, 28);
  context.scale(21, 21);
  sticker.draw(context, known.colours[colour]!);
}

/** `key` is what it stands for, `label` what it is called. */
function swatch(label: string, key: string, value: string, run: () => void): HTMLElement {
  const button = h("button.swatch", {
    type: "button",
    title: label,
    "aria-label": label,
    onclick: run,
  });
  button.style.backgroundColor = value;
  button.dataset.key = key;
  return button;
}

function put(sticker: Sticker, x: number, y: number): Thing {
  const thing = { sticker, colour, x, y, r: 0.15 };
  missing = "";
  things.push(thing);
  picked = things.length - 1;
  move(thing, x, y);
  void ready().then(draw);
  return thing;
}

function paint(name: string): void {
  colour = name;
  const thing = things[picked];
  if (thing) thing.colour = name;
  for (const small of box!.querySelectorAll<HTMLCanvasElement>(".palette canvas"))
    tint(small, known.stickers.find(s => s.name === small.dataset.sticker)!);
  draw();
}

function freeSpot(r: number): [number, number] | undefined {
  for (let i = 0; i < 80; i++) {
    const [x, y] = [r + Math.random() * (1 - 2 * r), r + Math.random() * (1 - 2 * r)];
    if (things.every(t => Math.hypot(t.x - x, t.y - y) > 0.95 * (t.r + r))) return [x, y];
  }
  return undefined;
}

const any = <T>(list: T[]) => list[Math.floor(Math.random() * list.length)]!;

/** Two to five things at random, as the model's own scenes have them. */
async function scatter(): Promise<void> {
  [things, picked, missing] = [[], -1, ""];
  ground = any(known.grounds);
  const colours = Object.keys(known.colours).filter(
    name => distance(known.colours[name]!, ground) > CLEAR,
  );
  const [shapes, sprites] = [known.stickers.filter(s => !s.url), known.stickers.filter(s => s.url)];
  const n = 2 + Math.floor(Math.random() * 4);
  for (let i = 0; i < n; i++) {
    const r = Math.max(known.smallest, Math.min(known.largest, 0.1 + Math.random() * 0.06));
    const spot = freeSpot(r);
    const from =
      sprites.length > 0 && (shapes.length === 0 || Math.random() < 0.6) ? sprites : shapes;
    if (spot && from.length > 0)
      things.push({ sticker: any(from), colour: any(colours), x: spot[0], y: spot[1], r });
  }
  await ready();
  draw();
}

/**
 * All things can be drawn; those whose pictures cannot be fetched leave the scene: nobody is asked
 * about what is not there.
 */
async function ready(): Promise<void> {
  const all = [...things];
  const here = await Promise.all(
    all.map(thing =>
      thing.sticker.ready().then(
        () => true,
        () => false,
      ),
    ),
  );
  const absent = all.filter((_, i) => !here[i]);
  if (absent.length === 0) return;
  things = things.filter(thing => !absent.includes(thing));
  picked = -1;
  missing = absent.map(({ sticker }) => sticker.name).join(", ");
}

function render(context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D): void {
  context.fillStyle = ground;
  context.fillRect(0, 0, SIDE, SIDE);
  for (const { sticker, colour: own, x, y, r } of things) {
    context.save();
    context.translate(x * SIDE, y * SIDE);
    context.scale(r * SIDE, r * SIDE);
    sticker.draw(context, known.colours[own]!);
    context.restore();
  }
}

function draw(): void {
  const context = canvas.getContext("2d")!;
  render(context);
  const thing = things[picked];
  if (thing) {
    const r = (thing.r * 1.18 + 0.01) * SIDE;
    context.setLineDash([6, 4]);
    context.lineWidth = 2;
    context.strokeStyle = Math.max(...rgb(ground)) < 128 ? "white" : "rgb(60 50 80)";
    context.strokeRect(thing.x * SIDE - r, thing.y * SIDE - r, 2 * r, 2 * r);
  }
  const list = things.map(called).join(", ") || words.nothing;
  const warning = things.length > known.most ? words.tooMany(known.most) : "";
  if (!box) return;
  const lost = missing && words.lost(missing);
  const chosen = thing ? words.chosen(called(thing), where(thing)) : "";
  say(`${words.inScene(list)}${chosen}${warning}${lost}`);
  for (const button of box.querySelectorAll<HTMLElement>(".swatch"))
    button.setAttribute("aria-pressed", String([colour, ground].includes(button.dataset.key!)));
}

const called = ({ sticker, colour }: Thing) =>
  sticker.url ? sticker.name : `${colour} ${sticker.name}`;

/** The ninth of the scene where a thing is: "top left", "middle". */
function where({ x, y }: Thing): string {
  const third = (at: number, names: string[]) => names[Math.min(2, Math.floor(at * 3))]!;
  return [third(y, words.rows), third(x, words.columns)].filter(Boolean).join(" ") || words.middle;
}

/** For those who hear the scene: only what has changed. */
function say(text: string): void {
  const line = find("#scene-words", box!);
  if (line.textContent !== text) line.textContent = text;
}

function place(event: PointerEvent): [number, number] {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  return [(event.clientX - left) / width, (event.clientY - top) / height];
}

function grab(event: PointerEvent): void {
  const [x, y] = place(event);
  picked = things.findLastIndex(t => Math.hypot(t.x - x, t.y - y) < t.r * 1.15);
  canvas.setPointerCapture(event.pointerId);
  draw();
}

function drag(event: PointerEvent): void {
  const thing = things[picked];
  if (!thing || event.buttons === 0) return;
  const [x, y] = place(event);
  move(thing, x, y);
}

function move(thing: Thing, x: number, y: number): void {
  thing.x = Math.min(1 - thing.r, Math.max(thing.r, x));
  thing.y = Math.min(1 - thing.r, Math.max(thing.r, y));
  draw();
}

function resize(factor: number): void {
  const thing = things[picked];
  if (!thing) return;
  thing.r = Math.min(known.largest, Math.max(known.smallest, thing.r * factor));
  move(thing, thing.x, thing.y);
}

function remove(): void {
  if (picked >= 0) things.splice(picked, 1);
  picked = Math.min(picked, things.length - 1);
  draw();
}

function key(event: KeyboardEvent): void {
  const thing = things[picked];
  const by = event.shiftKey ? 0.05 : 0.01;
  const moves: Record<string, [number, number]> = {
    ArrowLeft: [-by, 0],
    ArrowRight: [by, 0],
    ArrowUp: [0, -by],
    ArrowDown: [0, by],
  };
  const next = picked + (event.shiftKey ? -1 : 1);
  if (event.key === "Tab" && next < things.length && next >= 0) {
    picked = next;
    draw();
  } else if (thing && moves[event.key])
    move(thing, thing.x + moves[event.key]![0], thing.y + moves[event.key]![1]);
  else if (event.key === "+" || event.key === "=") resize(1.15);
  else if (event.key === "-") resize(1 / 1.15);
  else if (event.key === "Delete" || event.key === "Backspace") remove();
  else return;
  event.preventDefault();
}

async function hand(): Promise<void> {
  missing = "";
  await ready();
  draw();
  if (missing) return;
  const sheet = new OffscreenCanvas(SIDE, SIDE);
  render(sheet.getContext("2d")!);
  const blob = await sheet.convertToBlob({ type: "image/png" });
  box?.close();
  await takes(blob, names.composed);
}

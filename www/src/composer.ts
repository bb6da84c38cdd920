// The scene composer: stickers on a ground, dragged or moved with the keyboard, handed over as a picture. Anyone can pose a
// question that nobody posed before.

import { app } from "./app";
import { dialog, find, h } from "./dom";
import { COLOURS, GROUNDS, type Sticker, stickers } from "./stickers";

/** Side of the canvas in pixels; the toybox sees 112, its scenes are drawn four times as large. */
const SIDE = 448;
/** What the model was trained with. */
const [MOST, SMALLEST, LARGEST] = [6, 10 / 112, 26 / 112];

interface Thing {
  sticker: Sticker;
  colour: string;
  /** Centre and half extent, in parts of the side. */
  x: number;
  y: number;
  r: number;
}

let box: HTMLDialogElement | undefined;
let canvas: HTMLCanvasElement;
let things: Thing[] = [];
let picked = -1;
let colour = "red";
let ground = "paper";
let all: Sticker[] = [];

export async function openComposer(): Promise<void> {
  all = await stickers();
  box ??= build();
  if (things.length === 0) scatter();
  draw();
  box.showModal();
}

function build(): HTMLDialogElement {
  canvas = h<HTMLCanvasElement>("canvas#scene", { width: SIDE, height: SIDE, tabIndex: 0, role: "application" });
  canvas.setAttribute("aria-label", "Scene. Tab chooses a thing, arrows move it, plus and minus size it, Delete removes it");
  const palette = h("div.palette", { role: "group", "aria-label": "Add a sticker" });
  const colours = h("div.colours", { role: "group", "aria-label": "Colour" });
  const grounds = h("div.colours", { role: "group", "aria-label": "Background" });
  for (const sticker of all) palette.append(h("button", { type: "button", title: `Add: ${sticker.name}`, "aria-label": `Add: ${sticker.name}`, onclick: () => add(sticker) }, icon(sticker)));
  for (const [name, value] of Object.entries(COLOURS)) colours.append(swatch(name, value, () => paint(name)));
  for (const [name, value] of Object.entries(GROUNDS))
    grounds.append(swatch(name, value, () => {
      ground = name;
      draw();
    }));
  const press = (label: string, run: () => void) => h("button", { type: "button", onclick: run }, label);
  const use = h("button.main", { type: "button", onclick: () => void hand() }, "Use this scene");
  const tools = h("div.actions", press("Larger", () => resize(1.15)), press("Smaller", () => resize(1 / 1.15)), press("Remove", remove), press("Surprise me", () => (scatter(), draw())), press("Clear", () => ((things = []), draw())));
  const side = h("div.side", h("p.small", "Stickers"), palette, h("p.small", "Colour"), colours, h("p.small", "Background"), grounds, tools);
  canvas.addEventListener("pointerdown", grab);
  canvas.addEventListener("pointermove", drag);
  canvas.addEventListener("keydown", key);
  return dialog("composer", "Compose a scene", h("div.composer", h("div", canvas, h("p#scene-words.small", { role: "note" })), side), h("div.actions.end", use));
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
  sticker.draw(context, COLOURS[colour]!);
}

function swatch(name: string, value: string, run: () => void): HTMLElement {
  const button = h("button.swatch", { type: "button", title: name, "aria-label": name, onclick: run });
  button.style.backgroundColor = value;
  button.dataset.name = name;
  return button;
}

function add(sticker: Sticker): void {
  const spot = freeSpot(0.15) ?? [0.5, 0.5];
  things.push({ sticker, colour, x: spot[0], y: spot[1], r: 0.15 });
  picked = things.length - 1;
  draw();
}

function paint(name: string): void {
  colour = name;
  const thing = things[picked];
  if (thing) thing.colour = name;
  for (const small of box!.querySelectorAll<HTMLCanvasElement>(".palette canvas")) tint(small, all.find((s) => s.name === small.dataset.sticker)!);
  draw();
}

function freeSpot(r: number): [number, number] | undefined {
  for (let i = 0; i < 80; i++) {
    const [x, y] = [r + Math.random() * (1 - 2 * r), r + Math.random() * (1 - 2 * r)];
    if (things.every((t) => Math.hypot(t.x - x, t.y - y) > 0.95 * (t.r + r))) return [x, y];
  }
  return undefined;
}

const any = <T>(list: T[]) => list[Math.floor(Math.random() * list.length)]!;

function scatter(): void {
  things = [];
  ground = any(Object.keys(GROUNDS));
  const clash: Record<string, string[]> = { paper: ["white"], sky: ["white"], sand: ["yellow", "orange"], slate: ["black", "brown", "purple"], night: ["black", "brown", "purple", "blue"], moss: ["green"] };
  const colours = Object.keys(COLOURS).filter((name) => !clash[ground]?.includes(name));
  const n = 2 + Math.floor(Math.random() * 4);
  for (let i = 0; i < n; i++) {
    const r = 0.1 + Math.random() * 0.06;
    const spot = freeSpot(r);
    if (spot) things.push({ sticker: any(all), colour: any(colours), x: spot[0], y: spot[1], r });
  }
  picked = -1;
}

function render(context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D): void {
  context.fillStyle = GROUNDS[ground]!;
  context.fillRect(0, 0, SIDE, SIDE);
  for (const { sticker, colour: own, x, y, r } of things) {
    context.save();
    context.translate(x * SIDE, y * SIDE);
    context.scale(r * SIDE, r * SIDE);
    sticker.draw(context, COLOURS[own]!);
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
    context.strokeStyle = ["slate", "night"].includes(ground) ? "white" : "rgb(60 50 80)";
    context.strokeRect(thing.x * SIDE - r, thing.y * SIDE - r, 2 * r, 2 * r);
  }
  const words = things.map((t) => `${t.sticker.coloured ? `${t.colour} ` : ""}${t.sticker.name}`).join(", ") || "nothing yet";
  const warning = things.length > MOST ? ` The model was trained with up to ${MOST} things.` : "";
  find("#scene-words").textContent = `On the scene: ${words}.${warning}`;
  for (const button of box?.querySelectorAll<HTMLElement>(".swatch") ?? []) button.setAttribute("aria-pressed", String([colour, ground].includes(button.dataset.name!)));
}

function place(event: PointerEvent): [number, number] {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  return [(event.clientX - left) / width, (event.clientY - top) / height];
}

function grab(event: PointerEvent): void {
  const [x, y] = place(event);
  picked = things.findLastIndex((t) => Math.hypot(t.x - x, t.y - y) < t.r * 1.15);
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
  thing.r = Math.min(LARGEST, Math.max(SMALLEST, thing.r * factor));
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
  const moves: Record<string, [number, number]> = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, -by], ArrowDown: [0, by] };
  if (event.key === "Tab" && things.length > 0 && picked + (event.shiftKey ? -1 : 1) < things.length && picked + (event.shiftKey ? -1 : 1) >= 0) {
    picked += event.shiftKey ? -1 : 1;
    draw();
  } else if (thing && moves[event.key]) move(thing, thing.x + moves[event.key]![0], thing.y + moves[event.key]![1]);
  else if (event.key === "+" || event.key === "=") resize(1.15);
  else if (event.key === "-") resize(1 / 1.15);
  else if (event.key === "Delete" || event.key === "Backspace") remove();
  else return;
  event.preventDefault();
}

async function hand(): Promise<void> {
  const page = new OffscreenCanvas(SIDE, SIDE);
  render(page.getContext("2d")!);
  const blob = await page.convertToBlob({ type: "image/png" });
  box?.close();
  await app.attach(blob, "composed scene");
}

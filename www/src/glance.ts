// What the last answer looked at: the engine's map of it over the picture in the frame, and in
// words. A script of its own, fetched by the first click that wants it.

import type { LookedAt } from "mqt-web";
import { type Asked, type Picture, page } from "./actions";
import { cards } from "./card";
import { find, h, log } from "./dom";
import { EVEN, FINER, smooth } from "./heat";
import { type Overlay, lay, overlay } from "./overlay";
import { looked as words } from "./words";

/** The longer side of the drawing. */
const SIDE = 896;
/** How much of the picture the map covers: as `mqt attention` draws it. */
const OPACITY = 0.65;

/** The last one that was made: pressed again, nothing is computed. */
let made: Overlay | undefined;

find("#looked button").addEventListener("click", () => {
  const card = cards.all.find(({ answer }) => answer === overlay()?.answer);
  lay();
  // The button that was pressed is gone.
  card?.element.querySelector<HTMLElement>(".look")?.focus();
});

/** Shows what an answer looked at in each of the pictures; once it is shown, the picture alone. */
export async function toggle(asked: Asked): Promise<void> {
  const { answer, pictures } = asked;
  if (!answer || overlay()?.answer === answer) return lay();
  if (made?.answer !== answer) {
    const maps = await page.lookedAt(asked);
    if (!maps) return;
    const most = pictures[mostOf(maps)]!;
    made = { answer, pictures, most, draw: picture => void draw(picture, pictures, maps) };
  }
  saidOf = undefined;
  // What it looked at most is seen first.
  page.frame(made.most);
  lay(made);
  find("#frame").scrollIntoView({ block: "nearest" });
}

async function draw(picture: Picture, pictures: Picture[], maps: LookedAt[]): Promise<void> {
  const map = maps[pictures.indexOf(picture)];
  if (!map || !picture.view) return;
  say(inWords(map, picture, pictures, maps));
  const { width, height } = picture.view;
  const scale = SIDE / Math.max(width, height);
  const [across, down] = [Math.round(width * scale), Math.round(height * scale)];
  try {
    // What the browser cannot show stays dark below the map.
    const below = await createImageBitmap(picture.blob).catch(() => undefined);
    const heat = await colours(map);
    if (overlay() !== made || page.picture !== picture) return;
    const over = new OffscreenCanvas(across, down);
    const [cells, whole] = [new OffscreenCanvas(heat.width, heat.height), over.getContext("2d")!];
    cells.getContext("2d")!.putImageData(heat, 0, 0);
    // What was cut off was not looked at: it has the colour of no weight.
    whole.fillStyle = NOTHING;
    whole.fillRect(0, 0, across, down);
    const [left, top, wide, high] = map.area.map(length => length * scale) as LookedAt["area"];
    whole.drawImage(cells, 0, 0, map.columns * FINER, map.rows * FINER, left, top, wide, high);
    const canvas = find<HTMLCanvasElement>("#seen");
    [canvas.width, canvas.height] = [across, down];
    const on = canvas.getContext("2d")!;
    if (below) on.drawImage(below, 0, 0, across, down);
    on.globalAlpha = OPACITY;
    on.drawImage(over, 0, 0);
  } catch (error) {
    // The engine is going away; the page says so elsewhere.
    log(`what it looked at: ${(error as Error).message}`);
  }
}

/** The engine's colour of no weight. */
const NOTHING = "rgb(13 8 60)";

/** The map in the engine's colours, which it gives to squares: beyond the map's cells there is nothing. */
async function colours({ weights, columns, rows }: LookedAt): Promise<ImageData> {
  const side = Math.max(columns, rows) * FINER;
  const square = new Float32Array(side * side);
  const fine = smooth(Float32Array.from(weights), columns, rows);
  for (let row = 0; row < rows * FINER; row++)
    square.set(fine.subarray(row * columns * FINER, (row + 1) * columns * FINER), row * side);
  const { rgba } = await page.engine!.heat(new Uint8Array(side * side * 3), square, 1, 1);
  return new ImageData(new Uint8ClampedArray(rgba), side, side);
}

function inWords(map: LookedAt, picture: Picture, all: Picture[], maps: LookedAt[]): string {
  const [where, share] = mostly(map, picture);
  const percent = (part: number) => Math.round(part * 100);
  const several = all.length > 1;
  const name = several ? words.nth(all.indexOf(picture) + 1) : "";
  const looked = share < EVEN ? words.evenly(name) : words.mostly(name, where, percent(share));
  const first = map.share > 0 ? looked : words.notAt(name);
  if (!several) return first;
  const sum = maps.reduce((sum, { share }) => sum + share, 0) || 1;
  const most = mostOf(maps);
  return `${first} ${words.most(most + 1, percent(maps[most]!.share / sum))}`;
}

/** Which picture got the most. */
const mostOf = (maps: LookedAt[]) =>
  maps.reduce((most, { share }, i) => (share > maps[most]!.share ? i : most), 0);

/** The ninth of a picture that got the most of its weight, and how much of it. */
function mostly({ weights, columns, rows, area }: LookedAt, { view }: Picture): [string, number] {
  const [left, top, across, down] = area;
  const ninths = new Float32Array(9);
  // What lies beside the picture counts to its edge.
  const third = (at: number) => Math.min(2, Math.max(0, Math.floor(at * 3)));
  for (const [i, weight] of weights.entries()) {
    const x = (left + (((i % columns) + 0.5) / columns) * across) / view!.width;
    const y = (top + ((Math.floor(i / columns) + 0.5) / rows) * down) / view!.height;
    ninths[third(y) * 3 + third(x)]! += weight;
  }
  const share = Math.max(...ninths);
  return [words.places[ninths.indexOf(share)]!, share];
}

/** What was said last, and of which map. */
let [said, saidOf]: [string, Overlay | undefined] = ["", undefined];

/** Under the map, and for those who hear it: of each map once what it is, too. */
function say(text: string): void {
  if (said === text && saidOf === made) return;
  const note = saidOf === made ? "" : ` ${find("#looked .note").textContent}`;
  [said, saidOf] = [text, made];
  find("#looked p").textContent = text;
  find("#spoken").append(h("p", text + note));
}

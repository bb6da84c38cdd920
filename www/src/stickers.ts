// What the scene composer can put on a canvas. Today the toybox's coloured shapes, outlined as its training scenes draw them
// (`training/scenes.py`); pictures listed in a manifest join them by the same interface.

export interface Sticker {
  name: string;
  /** Draws at the origin, reaching from −1 to 1. `colour` is ignored by stickers that have their own. */
  draw(context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D, colour: string): void;
  /** Whether it takes a colour. */
  coloured: boolean;
}

type Point = [number, number];

const arc = (n: number, radius = 1, start = 0): Point[] =>
  Array.from({ length: n }, (_, i) => [radius * Math.cos(start + (2 * Math.PI * i) / n), radius * Math.sin(start + (2 * Math.PI * i) / n)]);

const up = -Math.PI / 2;

const cross = (a: number, b: number): Point[] => [
  [-a, -b], [a, -b], [a, -a], [b, -a], [b, a], [a, a], [a, b], [-a, b], [-a, a], [-b, a], [-b, -a], [-a, -a],
];

const heart: Point[] = Array.from({ length: 60 }, (_, i) => {
  const t = (2 * Math.PI * i) / 60;
  const y = 13 * Math.cos(t) - 5 * Math.cos(2 * t) - 2 * Math.cos(3 * t) - Math.cos(4 * t);
  return [(16 * Math.sin(t) ** 3) / 16.5, -y / 15.5 + 0.1];
});

const star: Point[] = arc(5, 1.1, up).flatMap((point, i) => [point, arc(5, 0.46, up + Math.PI / 5)[i]!]);

const OUTLINES: Record<string, Point[][]> = {
  circle: [arc(48)],
  square: [[[-0.84, -0.84], [0.84, -0.84], [0.84, 0.84], [-0.84, 0.84]]],
  triangle: [arc(3, 1.12, up).map(([x, y]) => [x, y + 0.18])],
  star: [star],
  heart: [heart],
  cross: [cross(0.34, 1)],
  diamond: [[[0, -1.08], [0.68, 0], [0, 1.08], [-0.68, 0]]],
  ring: [arc(48), arc(48, 0.56)],
};

function shape(name: string, outlines: Point[][]): Sticker {
  return {
    name,
    coloured: true,
    draw: (context, colour) => {
      context.beginPath();
      for (const points of outlines) {
        for (const [i, [x, y]] of points.entries()) i === 0 ? context.moveTo(x, y) : context.lineTo(x, y);
        context.closePath();
      }
      context.fillStyle = colour;
      context.fill("evenodd");
    },
  };
}

/** A sticker that is a picture with transparency. */
export function sprite(name: string, image: CanvasImageSource): Sticker {
  return { name, coloured: false, draw: (context) => context.drawImage(image, -1, -1, 2, 2) };
}

export const COLOURS: Record<string, string> = {
  red: "rgb(214 34 38)",
  green: "rgb(38 158 58)",
  blue: "rgb(36 82 214)",
  yellow: "rgb(250 218 40)",
  orange: "rgb(250 136 24)",
  purple: "rgb(128 46 170)",
  pink: "rgb(252 136 190)",
  brown: "rgb(122 74 36)",
  black: "rgb(18 18 20)",
  white: "rgb(248 248 246)",
};

export const GROUNDS: Record<string, string> = {
  paper: "rgb(244 240 228)",
  sky: "rgb(206 226 240)",
  sand: "rgb(228 208 170)",
  slate: "rgb(74 84 98)",
  night: "rgb(40 36 58)",
  moss: "rgb(150 170 138)",
};

const drawn = Object.entries(OUTLINES).map(([name, outlines]) => shape(name, outlines));

/** Addresses of sprites by name, if the model's folder brings any. */
const sprites = import.meta.glob<string>("../../models/toybox/stickers/*.png", { query: "?url", import: "default", eager: true });

/** All stickers; sprites are decoded on the first call. */
export async function stickers(): Promise<Sticker[]> {
  const pictures = Object.entries(sprites).map(async ([path, url]) => {
    const image = await createImageBitmap(await (await fetch(url)).blob());
    return sprite(path.split("/").pop()!.replace(/\.png$/, "").replace(/[-_]/g, " "), image);
  });
  return [...drawn, ...(await Promise.all(pictures))];
}

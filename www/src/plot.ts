// Little drawings: time over the number of image tokens.

import { seconds } from "./dom";
import { talk } from "./words";

export interface Point {
  m: number;
  ms: number;
}

const svg = (tag: string, attributes: Record<string, string | number>, text?: string) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  if (text !== undefined) element.textContent = text;
  return element;
};

/** Time over m, one place for each m; `what` for those who hear it. */
export function overTokens(points: Point[], what: string): SVGElement {
  const [width, top] = [320, Math.max(...points.map(p => p.ms), 1)];
  const room = 24;
  const height = 72 + room;
  const x = (i: number) => 34 + (i / Math.max(1, points.length - 1)) * (width - 68);
  const y = (ms: number) => height - room - (ms / top) * 52;
  const words = points.map(p => `${talk.tokens(p.m)}: ${seconds(p.ms)}`).join(", ");
  const drawing = svg("svg", {
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "aria-label": `${what}. ${words}`,
  });
  drawing.append(
    svg("polyline", {
      points: points.map((p, i) => `${x(i)},${y(p.ms)}`).join(" "),
      class: "line",
    }),
  );
  for (const [i, p] of points.entries()) {
    drawing.append(svg("circle", { cx: x(i), cy: y(p.ms), r: 4, class: "dot" }));
    drawing.append(svg("text", { x: x(i), y: y(p.ms) - 8, class: "label" }, seconds(p.ms)));
    drawing.append(svg("text", { x: x(i), y: height - room + 18, class: "label" }, String(p.m)));
  }
  return drawing as SVGElement;
}

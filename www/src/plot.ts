// Little drawings: time over the number of image tokens.

import { seconds } from "./dom";

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

/** Time over m, which doubles from left to right; `what` for those who hear it. */
export function overTokens(points: Point[], what: string): SVGElement {
  const [width, height, top] = [320, 96, Math.max(...points.map((p) => p.ms), 1)];
  const most = Math.max(points.at(-1)?.m ?? 1, 2);
  const x = (m: number) => 34 + (Math.log2(m) / Math.log2(most)) * (width - 68);
  const y = (ms: number) => height - 24 - (ms / top) * (height - 44);
  const words = points.map((p) => `${p.m} tokens: ${seconds(p.ms)}`).join(", ");
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${what}. ${words}` });
  drawing.append(svg("polyline", { points: points.map((p) => `${x(p.m)},${y(p.ms)}`).join(" "), class: "line" }));
  for (const p of points) {
    drawing.append(svg("circle", { cx: x(p.m), cy: y(p.ms), r: 4, class: "dot" }));
    drawing.append(svg("text", { x: x(p.m), y: y(p.ms) - 8, class: "label" }, seconds(p.ms)));
    drawing.append(svg("text", { x: x(p.m), y: height - 6, class: "label" }, points.length > 5 ? `${p.m}` : `m = ${p.m}`));
  }
  return drawing as SVGElement;
}

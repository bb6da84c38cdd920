// Small things for building the page: elements, numbers as text, a log.

import { head as words } from "./words";

type Child = Node | string | null | undefined | false;
type Props = Record<string, unknown>;

/** `h("p.note#id", { onclick, hidden }, …)`: an element. Text is only ever text. */
export function h<E extends HTMLElement = HTMLElement>(
  what: string,
  props?: Props | Child,
  ...children: Child[]
): E {
  const [, tag = "div", rest = ""] = /^([\w-]*)(.*)$/.exec(what) ?? [];
  const element = document.createElement(tag || "div") as unknown as E;
  for (const [, kind, name] of rest.matchAll(/([.#])([\w-]+)/g)) {
    if (kind === "#") element.id = name!;
    else element.classList.add(name!);
  }
  const plain = props && typeof props === "object" && !(props instanceof Node);
  if (!plain) children.unshift(props as Child);
  else for (const [name, value] of Object.entries(props as Props)) set(element, name, value);
  element.append(
    ...children.filter(
      (child): child is Node | string => child !== null && child !== undefined && child !== false,
    ),
  );
  return element;
}

function set(element: HTMLElement, name: string, value: unknown): void {
  if (value === undefined) return;
  if (name.includes("-") || name === "role" || name === "for")
    element.setAttribute(name === "for" ? "for" : name, String(value));
  else (element as unknown as Props)[name] = value;
}

export function find<E extends HTMLElement = HTMLElement>(
  selector: string,
  inside: ParentNode = document,
): E {
  const element = inside.querySelector<E>(selector);
  if (!element) throw new Error(`the page has no ${selector}`);
  return element;
}

/** 6379736 → "6.4 MB". */
export function bytes(n: number): string {
  const units = ["bytes", "kB", "MB", "GB"];
  const step = n < 1000 ? 0 : Math.min(3, Math.floor(Math.log10(n) / 3));
  const value = n / 1000 ** step;
  return `${step === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[step]}`;
}

/** 31 → "31 ms", 843 → "0.84 s", 150000 → "2.5 min". */
export function seconds(ms: number): string {
  if (ms < 99.5) return `${ms >= 9.95 ? Math.round(ms) : ms.toFixed(1)} ms`;
  const s = ms / 1000;
  if (s >= 120) return `${s >= 600 ? Math.round(s / 60) : (s / 60).toFixed(1)} min`;
  return `${s >= 10 ? Math.round(s) : s >= 1 ? s.toFixed(1) : s.toFixed(2)} s`;
}

/**
 * Scrolls to something that came or grew; of what is taller than the room for it, its end. The box
 * for questions covers nothing of it.
 */
export function reveal(element: Element): void {
  const covered = parseFloat(getComputedStyle(document.documentElement).scrollPaddingBlockEnd) || 0;
  const room = Math.min(innerHeight - covered, find("#scroll").clientHeight);
  element.scrollIntoView({
    block: element.getBoundingClientRect().height > room ? "end" : "nearest",
  });
}

/**
 * A row that scrolls sideways: what gets the focus by keyboard comes into sight as a whole, and
 * where there is more, it fades out.
 */
export function scrolls(row: HTMLElement): void {
  row.addEventListener("focusin", event =>
    (event.target as Element).scrollIntoView({ block: "nearest", inline: "nearest" }),
  );
  const mark = () => {
    const { scrollLeft, clientWidth, scrollWidth } = row;
    row.classList.toggle("came-from", scrollLeft > 4);
    row.classList.toggle("goes-on", scrollWidth - clientWidth - scrollLeft > 4);
  };
  row.addEventListener("scroll", mark, { passive: true });
  new ResizeObserver(mark).observe(row);
  new MutationObserver(mark).observe(row, { childList: true });
}

/** The same for what is read from its top: where it is too tall, its top is on the screen. */
export function revealTop(element: Element): void {
  reveal(element);
  const top = find("#scroll").getBoundingClientRect().top;
  if (element.getBoundingClientRect().top < Math.max(0, top)) element.scrollIntoView();
}

export const count = (n: number, one: string, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

const lines: string[] = [];

/** Notes what happened, for *Copy report*. The last hundred lines are kept. */
export function log(text: string): void {
  lines.push(`${(performance.now() / 1000).toFixed(2)} ${text}`);
  if (lines.length > 100) lines.shift();
}

export const logged = () => [...lines];

/** A `dialog` with a title and a way out. */
export function dialog(id: string, title: string, ...children: Child[]): HTMLDialogElement {
  const close = h(
    "button.close",
    { type: "button", "aria-label": words.close(title), onclick: () => box.close() },
    "×",
  );
  const head = h("header", h(`h2#${id}-title`, title), close);
  const box = h<HTMLDialogElement>(
    `dialog#${id}`,
    { "aria-labelledby": `${id}-title` },
    head,
    h("div.body", ...children),
  );
  box.addEventListener("click", event => event.target === box && box.close());
  document.body.append(box);
  return box;
}

/** Text to the clipboard; `button` says that it is done. */
export async function copy(text: string, button: HTMLElement): Promise<void> {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = words.copied;
  } catch {
    button.textContent = words.copyRefused;
  }
  setTimeout(() => (button.textContent = label), 1500);
}

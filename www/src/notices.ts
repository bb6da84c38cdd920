// The cards above the conversation, whatever they are about, and the one line under the picture.

import { shown } from "mqt-web";
import { find, h } from "./dom";
import { isBusy } from "./state";
import { picture as words } from "./words";

export interface Action {
  label: string;
  run: () => unknown;
  /** The one most people want. */
  main?: boolean;
  /** For styles and tests: what the button does. */
  name?: string;
}

export interface Notice {
  kind: "welcome" | "progress" | "trouble" | "news";
  title: string;
  text: (string | Node)[];
  actions: Action[];
}

export const area = () => find("#notices");

export function button({ label, run, main, name }: Action): HTMLElement {
  const made = h(
    main ? "button.main" : "button",
    { type: "button", onclick: (event: Event) => run.call(event.currentTarget) },
    label,
  );
  if (name) made.classList.add(name);
  return made;
}

export function show(notice: Notice): HTMLElement {
  const text = notice.text.map(part => (typeof part === "string" ? h("p", part) : part));
  const actions = notice.actions.length > 0 && h("div.actions", ...notice.actions.map(button));
  const role = notice.kind === "trouble" ? "alert" : "region";
  const focus = area().contains(document.activeElement) ? document.activeElement : undefined;
  const card = h(
    `section.notice.${notice.kind}`,
    { role, "aria-label": notice.title },
    h("h2", notice.title),
    ...text,
    actions || null,
  );
  area().replaceChildren(card);
  if (focus) refocus(focus);
  // On a phone one may be far below.
  if (notice.kind === "trouble") area().scrollIntoView({ block: "nearest" });
  return card;
}

/** Keeps keyboard focus on the equivalent button of the new card, else on the card. */
function refocus(before: Element): void {
  const first = (button: Element) => button.textContent?.split(" ")[0];
  const buttons = [...area().querySelectorAll<HTMLElement>("button")];
  const card = area().querySelector<HTMLElement>(".notice")!;
  card.tabIndex = -1;
  (buttons.find(button => first(button) === first(before)) ?? buttons[0] ?? card).focus();
}

export function clear(): void {
  area().replaceChildren();
}

/** Takes the card of the first visit away, if it is there: somebody has begun. */
export function clearWelcome(): void {
  area().querySelector(".welcome")?.remove();
}

/**
 * What an error says, as a sentence. An address or a file's name at its beginning stays as it is.
 */
export const sentence = (message: string) =>
  `${shown(message.replace(/^[a-z]+(?=,? )/, word => word[0]!.toUpperCase() + word.slice(1))).replace(/\.$/, "")}.`;

/** What was done just now, and the way back, beside the buttons of the box for questions. */
export function offerUndo(text: string, undo: () => void): void {
  const run = () => {
    if (isBusy()) return;
    noUndo();
    undo();
  };
  find("#undo").replaceChildren(text, " ", button({ label: words.undo, run }));
}

/** What could be undone is not offered any more. */
export function noUndo(): void {
  find("#undo").replaceChildren();
}

/** One quiet line under the picture, perhaps with something to press. */
export function remark(text: string, action?: Action): void {
  find("#remark").replaceChildren(text, ...(action ? [" ", button(action)] : []));
}

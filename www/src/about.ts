// What this is, where to read more, and which keys there are.

import { dialog, h } from "./dom";
import { about as words } from "./words-later";

const PAPER = "https://arxiv.org/abs/2405.19315";

let box: HTMLDialogElement | undefined;

export function open(): void {
  box ??= build();
  box.showModal();
}

/** A link; to another server it is followed without saying where one comes from. */
const link = (href: string, text: string) =>
  h("li", h("a", { href, target: "_blank", rel: "noopener noreferrer" }, text));

function build(): HTMLDialogElement {
  const keys = words.keyList.flatMap(([key, what]) => [h("dt", h("kbd", key!)), h("dd", what!)]);
  return dialog(
    "about",
    words.title,
    h("p", words.what),
    h(
      "ul",
      link(PAPER, words.paper),
      link("model-card.txt", words.card),
      link("licence.txt", words.licence),
      link(__BUILD__.source, words.source),
    ),
    h("p", words.private),
    h("h3", words.keys),
    h("dl.keys", ...keys),
    h("p.small.quiet", words.version(__BUILD__.version, __BUILD__.commit)),
  );
}

// The page's own specs against `mqt serve --open`: `npx playwright test -c native.config.mjs`.
// `docs/open.md` says what differs, and with it why some are left out.

import usual from "./playwright.config.mjs";

process.env.MQT_NATIVE = "1";

/**
 * What that page has not: a first visit, a copy for use without a network, stored models, others to
 * load. `stop.spec.mjs` is no use here: nothing is loaded, and a picture is encoded before it would
 * press Stop; `asking.spec.mjs` stops as well. Nor is there an answer to continue: the program has
 * said the toybox's longest one before a click on Stop reaches it.
 */
const NOT_THERE = [
  "a recorded answer is a button",
  "Continue, Again with m",
  "a longer context; Delete",
  "who wants no motion sees none",
  "installable, with icons that are there",
  "the last conversation is there after a reload",
  "what is switched off is not kept",
  "storage, diagnostics, about",
];

export default {
  ...usual,
  testMatch: ["asking", "buttons", "glance", "history", "look", "panels", "settings"].map(
    name => `${name}.spec.mjs`,
  ),
  grepInvert: NOT_THERE.map(title => new RegExp(title)),
};

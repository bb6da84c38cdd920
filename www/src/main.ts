// Puts the page together. Nothing is downloaded, compiled or switched on here: that takes a click.

import "./style.css";
import { type Panel, handIn } from "./actions";
import { App } from "./app";
import * as conversation from "./conversation";
import { find, log, scrolls } from "./dom";
import * as gallery from "./gallery";
import * as history from "./history";
import { lazily } from "./lazily";
import * as measuring from "./measuring";
import * as menu from "./menu";
import * as picture from "./picture";
import * as preferences from "./preferences";
import * as question from "./question";
import { openDiagnostics } from "./report";
import * as sources from "./sources";
import { state } from "./state";
import { offerToTests } from "./testing";
import * as tokens from "./tokens";
import { welcome } from "./welcome";

// After a reload the page begins where it says how to go on.
globalThis.history.scrollRestoration = "manual";

const app = new App({
  models: () => lazily("models", async () => (await import("./models")).open()),
  storage: () => lazily("storage", async () => (await import("./models")).openStorage()),
  settings: preferences.open,
  benchmark: () => lazily("benchmark", async () => (await import("./benchmark")).open()),
  diagnostics: openDiagnostics,
  about: () => lazily("about", async () => (await import("./about")).open()),
});
const save = (as: "markdown" | "json") =>
  lazily("saving", async () => (await import("./exported")).save(as));
handIn(app);
offerToTests(app);

for (const button of document.querySelectorAll<HTMLElement>("[data-panel]"))
  button.addEventListener("click", () => app.open(button.dataset.panel as Panel));
// A shortcut for the mouse; the button stands beside it for everyone.
find("#status").addEventListener("click", () => app.open("diagnostics"));
find("#save-markdown").addEventListener("click", () => void save("markdown"));
find("#save-json").addEventListener("click", () => void save("json"));

const network = () => (document.body.dataset.network = navigator.onLine ? "online" : "offline");
addEventListener("online", network);
addEventListener("offline", network);
network();

for (const row of ["#samples", "#thumbs", "#chips"]) scrolls(find(row));
menu.setUp();
sources.setUp();
picture.setUp();
gallery.setUp();
tokens.setUp();
conversation.setUp();
preferences.setUp();
question.setUp();
measuring.setUp();
void welcome();
document.body.classList.remove("setting-up");
void app.lookAround();

// What was said before a reload, unless something began meanwhile.
void history
  .read()
  .then(kept => {
    if (kept.length === 0 || app.picture || app.engine || app.loading) return;
    app.restore(kept);
    if (state() === "first-visit") void welcome();
  })
  .finally(() => app.startServed());

if ("serviceWorker" in navigator && import.meta.env.PROD)
  navigator.serviceWorker
    .register("sw.js")
    .catch(error => log(`no offline copy of the page: ${error.message}`));

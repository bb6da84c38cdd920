// Puts the page together. Nothing is downloaded, compiled or switched on here: that takes a click.

import "./style.css";
import * as about from "./about";
import { type Panel, handIn } from "./actions";
import { App } from "./app";
import * as benchmark from "./benchmark";
import * as conversation from "./conversation";
import { find, log } from "./dom";
import { save } from "./exported";
import * as history from "./history";
import * as menu from "./menu";
import * as models from "./models";
import * as picture from "./picture";
import * as preferences from "./preferences";
import * as question from "./question";
import { openDiagnostics } from "./report";
import { state } from "./state";
import { offerToTests } from "./testing";
import * as tokens from "./tokens";
import { welcome } from "./welcome";

const app = new App({
  models: models.open,
  storage: models.openStorage,
  settings: preferences.open,
  benchmark: benchmark.open,
  diagnostics: openDiagnostics,
  about: about.open,
});
handIn(app);
offerToTests(app);

for (const button of document.querySelectorAll<HTMLElement>("[data-panel]"))
  button.addEventListener("click", () => app.open(button.dataset.panel as Panel));
// A shortcut for the mouse; the button stands beside it for everyone.
find("#status").addEventListener("click", () => app.open("diagnostics"));
find("#save-markdown").addEventListener("click", () => save("markdown"));
find("#save-json").addEventListener("click", () => save("json"));

const network = () => (document.body.dataset.network = navigator.onLine ? "online" : "offline");
addEventListener("online", network);
addEventListener("offline", network);
network();

menu.setUp();
picture.setUp();
tokens.setUp();
conversation.setUp();
preferences.setUp();
question.setUp();
void welcome();
document.body.classList.remove("setting-up");
void app.lookAround();

// What was said before a reload, unless something began meanwhile.
void history.read().then(kept => {
  if (!kept || app.picture || app.engine || app.loading) return;
  const { picture: blob, name, answers } = kept;
  app.restore({ blob, name, url: URL.createObjectURL(blob) }, answers);
  if (state() === "first-visit") void welcome();
});

if ("serviceWorker" in navigator && import.meta.env.PROD)
  navigator.serviceWorker
    .register("sw.js")
    .catch(error => log(`no offline copy of the page: ${error.message}`));

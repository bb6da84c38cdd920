// The model that comes with the page.

import type { Loadable } from "./actions";

export const bundled: Loadable = {
  from: new URL("models/toybox/manifest.json", document.baseURI).href,
  name: __BUNDLED__.name,
};

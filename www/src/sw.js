// The page without a network. Before anybody pressed a button it keeps what the page shows; once a
// model was loaded, everything that was built. Models are not kept here: the page stores them
// itself, verified. `vite.config.ts` fills in the constants.

const VERSION = "__VERSION__";
/** What the page shows at first. */
const SHELL = ["__SHELL__"];
/** The engine, the composer and its stickers. */
const REST = ["__REST__"];
const CACHE = `mqt-${VERSION}`;

/** Built files never change under their name: what the browser has already will do. */
const fresh = file =>
  new Request(file, { cache: file.startsWith("assets/") ? "default" : "reload" });

/** Whether an earlier version kept everything: its user had pressed the button. */
async function wasWhole() {
  for (const name of await caches.keys()) {
    if (!name.startsWith("mqt-") || name === CACHE) continue;
    const kept = await (await caches.open(name)).keys();
    if (kept.some(({ url }) => url.endsWith(".wasm"))) return true;
  }
  return false;
}

async function keepRest() {
  const cache = await caches.open(CACHE);
  const missing = [];
  for (const file of REST) if (!(await cache.match(file))) missing.push(file);
  // Their names change with what is in them: what the browser has already will do.
  await cache.addAll(missing);
}

self.addEventListener("install", event => {
  const keep = async () => {
    await (await caches.open(CACHE)).addAll(SHELL.map(fresh));
    if (await wasWhole()) await keepRest();
    await self.skipWaiting();
  };
  event.waitUntil(keep());
});

self.addEventListener("activate", event => {
  const old = caches
    .keys()
    .then(names => names.filter(name => name.startsWith("mqt-") && name !== CACHE));
  event.waitUntil(
    old
      .then(names => Promise.all(names.map(name => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

/**
 * The page says that a model was loaded. A file that cannot be had now is asked for when it is
 * needed.
 */
self.addEventListener("message", event => {
  if (event.data === "keep everything") event.waitUntil(keepRest().catch(() => undefined));
});

self.addEventListener("fetch", event => {
  const { request } = event;
  const url = new URL(request.url);
  const ours =
    request.method === "GET" &&
    url.origin === self.location.origin &&
    url.href.startsWith(self.registration.scope);
  if (!ours || url.href.slice(self.registration.scope.length).startsWith("models/")) return;
  event.respondWith(answer(request));
});

/**
 * From the cache; what is not there comes from the network. The document: from the network while
 * there is one, to see new versions.
 */
async function answer(request) {
  const cache = await caches.open(CACHE);
  if (request.mode === "navigate") {
    try {
      return await fetch(request);
    } catch {
      return (await cache.match("./")) ?? Response.error();
    }
  }
  const kept = await cache.match(request, { ignoreSearch: true });
  if (kept) return kept;
  const response = await fetch(request);
  // Built files never change under their name.
  if (response.ok && new URL(request.url).pathname.includes("/assets/"))
    await cache.put(request, response.clone());
  return response;
}

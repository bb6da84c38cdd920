// The page without a network: everything that was built is kept, and answered from there. Models are not: the page stores them
// itself, verified. `vite.config.ts` fills in the two constants.

const VERSION = "__VERSION__";
const FILES = ["__FILES__"];
const CACHE = `mqt-${VERSION}`;

self.addEventListener("install", (event) => {
  const all = caches.open(CACHE).then((cache) => cache.addAll(FILES.map((file) => new Request(file, { cache: "reload" }))));
  event.waitUntil(all.then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const old = caches.keys().then((names) => names.filter((name) => name.startsWith("mqt-") && name !== CACHE));
  event.waitUntil(old.then((names) => Promise.all(names.map((name) => caches.delete(name)))).then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  const ours = request.method === "GET" && url.origin === self.location.origin && url.href.startsWith(self.registration.scope);
  if (!ours || url.href.slice(self.registration.scope.length).startsWith("models/")) return;
  event.respondWith(answer(request));
});

/** From the cache; what is not there comes from the network. The document: from the network while there is one, to see new versions. */
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
  if (response.ok && new URL(request.url).pathname.includes("/assets/")) await cache.put(request, response.clone());
  return response;
}

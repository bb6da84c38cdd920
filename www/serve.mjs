// Serves the built page on this machine: `node serve.mjs [port]`, or `serve()` from the browser tests.
// Any static server will do; these are the headers it should send, and ranges let a broken download go on.

import { createReadStream, realpathSync } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as createSecure } from "node:https";
import { extname, join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";

const DIST = fileURLToPath(new URL("dist", import.meta.url));

const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".mjs": "text/javascript; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".webp": "image/webp",
  ".webmanifest": "application/manifest+json",
};

/** The page carries the same policy in a `meta` element, for servers that send none; `frame-ancestors` works only here. */
export const HEADERS = {
  "content-security-policy":
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self' https:; " +
    "worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "permissions-policy": "camera=(self), microphone=(), geolocation=()",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/**
 * Starts a server on `port` (0: any free one) of this machine.
 * `folders` maps path prefixes to folders, the longest prefix first; `intercept(request, response, url)` may answer instead and return true.
 * `tls` is a key and a certificate, for https.
 */
export async function serve({ port = 0, folders = { "/": DIST }, headers = HEADERS, intercept = () => false, tls } = {}) {
  const handle = async (request, response) => {
    const url = new URL(request.url, "http://localhost");
    if (await intercept(request, response, url)) return;
    const path = decodeURIComponent(url.pathname);
    const prefix = Object.keys(folders).find((prefix) => path.startsWith(prefix));
    const root = normalize(folders[prefix]).replace(/[\\/]$/, "");
    const rest = path.slice(prefix.length);
    const file = normalize(join(root, rest === "" || rest.endsWith("/") ? `${rest}index.html` : rest));
    try {
      if (!file.startsWith(root + sep)) throw new Error("outside the folder");
      const found = await stat(file);
      if (!found.isFile()) throw new Error("not a file");
      send(request, response, file, found.size, headers);
    } catch {
      response.writeHead(404, headers).end();
    }
  };
  const server = tls ? createSecure(tls, handle) : createServer(handle);
  await new Promise((ready, failed) => server.on("error", failed).listen(port, "localhost", ready));
  const close = () => (server.closeAllConnections(), server.close());
  return { url: `${tls ? "https" : "http"}://localhost:${server.address().port}/`, close };
}

function send(request, response, file, size, headers) {
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const [start, end] = range ? [Number(range[1]), Math.min(range[2] ? Number(range[2]) + 1 : size, size)] : [0, size];
  if (start > end || (range && start >= size)) {
    response.writeHead(416, { ...headers, "content-range": `bytes */${size}` }).end();
    return;
  }
  const own = {
    ...headers,
    "content-type": TYPES[extname(file)] ?? "application/octet-stream",
    "content-length": end - start,
    "accept-ranges": "bytes",
    // Built files carry a hash in their names; all others are asked for again.
    "cache-control": file.includes(`${sep}assets${sep}`) ? "public, max-age=31536000, immutable" : "no-cache",
  };
  if (range) own["content-range"] = `bytes ${start}-${end - 1}/${size}`;
  response.writeHead(range ? 206 : 200, own);
  if (request.method === "HEAD" || end === start) response.end();
  else createReadStream(file, { start, end: end - 1 }).on("error", () => response.destroy()).pipe(response);
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { url } = await serve({ port: Number(process.argv[2] ?? 8080) });
  console.log(`serving ${DIST} on ${url} (Ctrl-C ends it)`);
}

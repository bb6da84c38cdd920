// Serves the built page on this machine: `node serve.mjs [port]`, or `serve()` from the browser
// tests. Any static server will do; these are the headers it should send, and ranges let a broken
// download go on.

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
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".webp": "image/webp",
  ".webmanifest": "application/manifest+json",
};

/**
 * The page carries the same policy in a `meta` element, for servers that send none;
 * `frame-ancestors` works only here.
 */
export const HEADERS = {
  "content-security-policy":
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self' https:; " +
    "worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "permissions-policy": "camera=(self), microphone=(), geolocation=()",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** A request that makes no sense. */
class BadRequest extends Error {}

/** The address that was asked for, and the file's path in it. */
function asked(request) {
  const { url: target = "" } = request;
  if (
    !target.startsWith("/") ||
    target.startsWith("//") ||
    !URL.canParse(target, "http://localhost")
  )
    throw new BadRequest("no path");
  const url = new URL(target, "http://localhost");
  let path;
  try {
    path = decodeURIComponent(url.pathname);
  } catch {
    throw new BadRequest("not percent-encoded");
  }
  // What a browser sends has no such parts any more.
  if (/[\0\\]|(^|\/)\.\.?(\/|$)/.test(path)) throw new BadRequest("a path that leads elsewhere");
  return { url, path };
}

/**
 * The bytes of `size` that a `range` header asks for: `undefined` if all of them, as without one.
 * More than one range, and other units than bytes, may be answered with the whole.
 */
function asRange(range, size) {
  if (range === undefined || !/^bytes\s*=/i.test(range)) return undefined;
  const list = range
    .replace(/^bytes\s*=\s*/i, "")
    .split(",")
    .map(part => /^\s*(\d*)-(\d*)\s*$/.exec(part));
  const makesSense = part =>
    part && (part[1] || part[2]) && (!part[1] || !part[2] || Number(part[1]) <= Number(part[2]));
  if (!list.every(makesSense)) throw new BadRequest("not a range");
  if (list.length > 1) return undefined;
  const [[, first, last]] = list;
  if (first === "")
    return {
      start: Math.max(0, size - Number(last)),
      end: size,
      isThere: Number(last) > 0 && size > 0,
    };
  return {
    start: Number(first),
    end: Math.min(last ? Number(last) + 1 : size, size),
    isThere: Number(first) < size,
  };
}

/**
 * Starts a server on `port` (0: any free one) of this machine. `folders` maps path prefixes to
 * folders, the longest prefix first; `intercept(request, response, url)` may answer instead and
 * return true. `tls` is a key and a certificate, for https.
 */
export async function serve({
  port = 0,
  folders = { "/": DIST },
  headers = HEADERS,
  intercept = () => false,
  tls,
} = {}) {
  const answer = async (request, response) => {
    const { url, path } = asked(request);
    if (await intercept(request, response, url)) return;
    if (!["GET", "HEAD"].includes(request.method))
      return void response.writeHead(405, { ...headers, allow: "GET, HEAD" }).end();
    const prefix = Object.keys(folders).find(prefix => path.startsWith(prefix));
    if (prefix === undefined) return void response.writeHead(404, headers).end();
    const root = normalize(folders[prefix]).replace(/[\\/]$/, "");
    const rest = path.slice(prefix.length);
    const file = normalize(
      join(root, rest === "" || rest.endsWith("/") ? `${rest}index.html` : rest),
    );
    const found = file.startsWith(root + sep) ? await stat(file).catch(() => undefined) : undefined;
    if (found?.isFile()) send(request, response, file, found.size, headers);
    else response.writeHead(404, headers).end();
  };
  // Whatever a request makes go wrong, the next one is answered.
  const handle = (request, response) =>
    answer(request, response).catch(error => {
      if (!(error instanceof BadRequest)) console.error(error);
      if (response.headersSent) response.destroy();
      else response.writeHead(error instanceof BadRequest ? 400 : 500, headers).end();
    });
  const server = tls ? createSecure(tls, handle) : createServer(handle);
  await new Promise((ready, failed) => server.on("error", failed).listen(port, "localhost", ready));
  const close = () => (server.closeAllConnections(), server.close());
  return { url: `${tls ? "https" : "http"}://localhost:${server.address().port}/`, close };
}

function send(request, response, file, size, headers) {
  const range = asRange(request.headers.range, size);
  const { start, end } = range ?? { start: 0, end: size };
  if (range && !range.isThere) {
    response.writeHead(416, { ...headers, "content-range": `bytes */${size}` }).end();
    return;
  }
  const own = {
    ...headers,
    "content-type": TYPES[extname(file)] ?? "application/octet-stream",
    "content-length": end - start,
    "accept-ranges": "bytes",
    // Built files carry a hash in their names; all others are asked for again.
    "cache-control": file.includes(`${sep}assets${sep}`)
      ? "public, max-age=31536000, immutable"
      : "no-cache",
  };
  if (range) own["content-range"] = `bytes ${start}-${end - 1}/${size}`;
  response.writeHead(range ? 206 : 200, own);
  if (request.method === "HEAD" || end === start) response.end();
  else
    createReadStream(file, { start, end: end - 1 })
      .on("error", () => response.destroy())
      .pipe(response);
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { url } = await serve({ port: Number(process.argv[2] ?? 8080) });
  console.log(`serving ${DIST} on ${url} (Ctrl-C ends it)`);
}

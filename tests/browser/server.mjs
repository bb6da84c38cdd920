// A static file server for the tests: the page of this folder, and what `cargo xtask web` built.

import { createServer } from "node:http";
import { open } from "node:fs/promises";
import { extname, join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));

const FOLDERS = {
  "/pkg/": join(here, "../../web/pkg"),
  "/models/": join(here, "../../models"),
  "/golden/": join(here, "../golden"),
  "/": join(here, "page"),
};

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** Starts a server on a free port of this machine; `{ url, close }`. */
export async function serve() {
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    const prefix = Object.keys(FOLDERS).find((prefix) => path.startsWith(prefix));
    const rest = path.slice(prefix.length) || "index.html";
    const file = normalize(join(FOLDERS[prefix], rest));
    let handle;
    try {
      if (!file.startsWith(FOLDERS[prefix] + sep)) throw new Error("outside the folder");
      handle = await open(file);
      const { size } = await handle.stat();
      const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
      const [start, end] = range ? [Number(range[1]), Math.min(Number(range[2]) + 1, size)] : [0, size];
      const headers = {
        "content-type": TYPES[extname(file)] ?? "application/octet-stream",
        "content-length": end - start,
        "accept-ranges": "bytes",
      };
      if (range) headers["content-range"] = `bytes ${start}-${end - 1}/${size}`;
      const body = Buffer.alloc(request.method === "HEAD" ? 0 : end - start);
      await handle.read(body, 0, body.length, start);
      response.writeHead(range ? 206 : 200, headers).end(body);
    } catch {
      response.writeHead(404).end();
    } finally {
      await handle?.close();
    }
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

// The page's own server: whatever is asked of it, it answers, and goes on. No browser takes part.

import { expect, test } from "@playwright/test";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { serve } from "../../www/serve.mjs";
import { root } from "./site.mjs";

const folder = join(root, "www/public");
const icon = readFileSync(join(folder, "icon.svg"));

/** Sends a request as it is written, and gives the answer's status and body. */
function send(port, line, headers = []) {
  return new Promise((done, failed) => {
    const socket = connect(port, "localhost");
    const parts = [];
    socket.on("data", part => parts.push(part)).on("error", failed);
    socket.on("close", () => {
      const [head, ...body] = Buffer.concat(parts).toString("latin1").split("\r\n\r\n");
      done({
        status: Number(head.split(" ")[1]),
        head: head.toLowerCase(),
        body: body.join("\r\n\r\n"),
      });
    });
    socket.write(
      [`${line} HTTP/1.1`, "Host: localhost", "Connection: close", ...headers, "", ""].join("\r\n"),
    );
  });
}

test("a request that makes no sense is refused, and the next one is answered", async () => {
  const server = await serve({ folders: { "/": folder } });
  const { port } = new URL(server.url);
  const senseless = [
    "/%",
    "/%ff",
    "//",
    "///x",
    "http://[",
    "http://localhost/icon.svg",
    "*",
    "/..%2fserve.mjs",
    "/x/..%2f..%2f..%2fserve.mjs",
    "/%5c..%5cserve.mjs",
    "/icon.svg%00",
  ];
  for (const target of senseless) {
    expect((await send(port, `GET ${target}`)).status, target).toBe(400);
    expect((await send(port, "GET /icon.svg")).status, `after ${target}`).toBe(200);
  }
  for (const target of ["/nothing", "/..", "/%2e%2e/serve.mjs", "/?x=%", `/${"a".repeat(5000)}`])
    expect((await send(port, `GET ${target}`)).status, target).toBe(404);
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS"])
    expect((await send(port, `${method} /icon.svg`)).status, method).toBe(405);
  server.close();
});

test("a range is answered as it is meant, or refused", async () => {
  const server = await serve({ folders: { "/": folder } });
  const { port } = new URL(server.url);
  const whole = icon.toString("latin1");
  const cases = [
    ["bytes=0-3", 206, whole.slice(0, 4)],
    ["bytes=4-", 206, whole.slice(4)],
    ["bytes=-5", 206, whole.slice(-5)],
    ["bytes=0-99999999999999999999999", 206, whole],
    ["bytes=-99999999999999999999999", 206, whole],
    ["bytes=0-1,3-4", 200, whole],
    ["lines=1-2", 200, whole],
    ["bytes=99999999999999999999999-", 416, ""],
    [`bytes=${icon.length}-`, 416, ""],
    ["bytes=-0", 416, ""],
    ["bytes=5-2", 400, ""],
    ["bytes=abc", 400, ""],
    ["bytes=", 400, ""],
    ["bytes=-", 400, ""],
    ["bytes=1e3-", 400, ""],
  ];
  for (const [range, status, body] of cases) {
    const answer = await send(port, "GET /icon.svg", [`Range: ${range}`]);
    expect([answer.status, answer.status < 300 ? answer.body : ""], range).toEqual([status, body]);
  }
  expect((await send(port, "GET /icon.svg", ["Range: bytes=2-4"])).head).toContain(
    `content-range: bytes 2-4/${icon.length}`,
  );
  server.close();
});

import { defineConfig } from "@playwright/test";

// One browser, no GPU process beside it: on two cores parallel tests would only slow each other
// down.
export default defineConfig({
  testDir: ".",
  testMatch: "*.spec.mjs",
  outputDir: "../../target/browser",
  workers: 1,
  fullyParallel: false,
  forbidOnly: true,
  retries: 0,
  timeout: 15 * 60_000,
  // What fails this often fails everywhere: each spec of a page that does not start waits minutes.
  maxFailures: 3,
  reporter: [["list"]],
  use: {
    headless: true,
    launchOptions: {
      // Debian's Chromium, never a downloaded one.
      executablePath: process.env.MQT_CHROMIUM || "/usr/bin/chromium",
      // Playwright's own `--headless` and `--disable-gpu`-like defaults would hide the adapter.
      args: [
        "--headless=new",
        "--no-sandbox",
        "--enable-unsafe-webgpu",
        "--use-webgpu-adapter=swiftshader",
        // A camera that shows a moving test card.
        "--use-fake-device-for-media-stream",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
});

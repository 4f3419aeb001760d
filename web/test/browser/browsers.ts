/**
 * Debian's Chromium and Firefox, started without a screen and driven by WebDriver BiDi or its like.
 *
 * Rule: a browser that is not here is a failure that says what to install, never a skip.
 */

import { existsSync } from "node:fs";
import puppeteer, { type Browser, type LaunchOptions, type Page } from "puppeteer-core";
import type { Server } from "./server.js";

export type Name = "chromium" | "firefox";
export const NAMES: readonly Name[] = ["chromium", "firefox"];

/** A machine that is busy with other things may need that long; nothing waits once it is done. */
const PATIENCE_MS = 600_000;
const LOOKS = 3_000;
const BETWEEN_LOOKS_MS = 200;

const { CHROMIUM: CHROMIUM_PATH, FIREFOX: FIREFOX_PATH } = process.env;

const CHROMIUM: LaunchOptions = {
  browser: "chrome",
  executablePath: CHROMIUM_PATH ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox", // its sandbox does not start as root, as in a container
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    // Candidates that two pages of one machine can use, also without a network.
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--allow-loopback-in-peer-connection",
  ],
};

const FIREFOX: LaunchOptions = {
  browser: "firefox",
  executablePath: FIREFOX_PATH ?? "/usr/bin/firefox-esr",
  extraPrefsFirefox: {
    "media.navigator.streams.fake": true,
    "media.navigator.permission.disabled": true,
    "media.peerconnection.ice.loopback": true,
    "media.peerconnection.ice.obfuscate_host_addresses": false,
    "media.autoplay.default": 0,
    "media.gmp-manager.updateEnabled": false,
    "app.update.enabled": false,
    "datareporting.policy.dataSubmissionEnabled": false,
  },
};

export async function launch(name: Name): Promise<Browser> {
  const options = name === "chromium" ? CHROMIUM : FIREFOX;
  const path = options.executablePath as string;
  if (!existsSync(path)) {
    throw new Error(
      `${path} was not found. These tests run in real browsers; on Debian:\n` +
        "    sudo apt-get install --no-install-recommends chromium firefox-esr\n" +
        "or name yours in the environment: CHROMIUM=..., FIREFOX=...",
    );
  }
  return puppeteer.launch({ ...options, timeout: PATIENCE_MS, protocolTimeout: PATIENCE_MS });
}

/** A page of our server, with what it says on its console in case of a failure. */
export async function opened(browser: Browser, server: Server, path: string): Promise<Page> {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(`${server.origin}${path}`);
  return page;
}

/** What `look` finds, asked again and again: a busy machine may be slow, and one long call would fail. */
export async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (let looks = 0; looks < LOOKS; looks++) {
    const found = await look();
    if (found !== undefined && found !== null) return found;
    await new Promise((f) => setTimeout(f, BETWEEN_LOOKS_MS));
  }
  throw new Error("waited in vain for the page");
}

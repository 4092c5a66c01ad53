import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import puppeteer, { type Browser } from 'puppeteer-core';
import type { Extension } from '../../src/browser/extensions/installedExtensions.js';
import { withCdpScope, type CdpScope } from '../../src/browser/cdp/cdpScope.js';
import { originOf } from '../../src/browser/extensions/installedExtensions.js';
import { isExtensionsPage } from '../../src/browser/policy/launchPreferences.js';
import { WorkerMonitor } from '../../src/browser/extensions/serviceWorkers.js';
import { chromium, chromiumFlags } from './chromium.js';

/** A real Chromium without a window, in which extensions can be installed, and a folder to write them to. */
export interface ExtensionBrowser {
  readonly browser: Browser;
  readonly folder: string;
  /** Runs with a scope that nobody cancels. */
  run<T>(use: (scope: CdpScope) => Promise<T>): Promise<T>;
  /** Writes an unpacked extension and answers its folder. */
  write(name: string, files: Record<string, string>): Promise<string>;
  /** Puts the worker to sleep, as Chrome does when it idles; resolves when it is down. */
  stopWorker(extensionId: string): Promise<void>;
  /** Types and addresses of what is open, apart from Chrome's own surfaces and the one page about extensions. */
  openTargets(): Promise<string[]>;
  close(): Promise<void>;
}

export async function startExtensionBrowser(): Promise<ExtensionBrowser> {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-test-'));
  const browser = await puppeteer.launch({
    executablePath: chromium,
    pipe: true,
    enableExtensions: true,
    waitForInitialPage: false,
    args: [...chromiumFlags, '--no-startup-window'],
  });
  const run = <T>(use: (scope: CdpScope) => Promise<T>): Promise<T> =>
    withCdpScope(browser, new AbortController().signal, use);
  return {
    browser,
    folder,
    run,
    write: (name, files) => write(join(folder, name), files),
    stopWorker: (extensionId) => run((scope) => stopWorker(scope, extensionId)),
    openTargets: () =>
      run(async (scope) =>
        (await scope.targets())
          .filter(({ type, url }) => type !== 'browser_ui' && !isExtensionsPage(url))
          .map(({ type, url }) => `${type} ${url}`),
      ),
    close: async () => {
      await browser.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function write(folder: string, files: Record<string, string>): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  return folder;
}

async function stopWorker(scope: CdpScope, extensionId: string): Promise<void> {
  const watch = await WorkerMonitor.open(scope);
  const page = await scope.hiddenPage();
  await page.send('ServiceWorker.enable');
  await page.send('ServiceWorker.stopAllWorkers');
  await watch.waitUntil(() => watch.state(extensionId) === 'stopped');
}

/** What an extension with this id may be opened at. */
export const extensionUrl = ({ id }: Pick<Extension, 'id'>, path: string): string => `${originOf(id)}/${path}`;

/** A manifest that Chrome accepts, with what the test adds. */
export const manifestJson = (name: string, more: object = {}): string =>
  JSON.stringify({ manifest_version: 3, name, version: '1.0', ...more });

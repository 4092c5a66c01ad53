/** A process for the janitor's test: launches a browser, names its run folder, and waits to be killed. */
import { openRunFolder } from '../../../src/browser/process/janitor.js';
import { launchBrowser } from '../../../src/browser/process/launchBrowser.js';
import { createResourceLedger } from '../../../src/browser/process/browserConnection.js';
import { chromium } from '../../support/chromium.js';

const parent = process.argv[2] ?? '';
const run = await openRunFolder(parent);
const connection = await launchBrowser({
  executablePath: chromium,
  folder: run.nextBrowserFolder(),
  headless: true,
  signal: new AbortController().signal,
  ledger: createResourceLedger(),
});
await connection.browser.newPage();
process.stdout.write(`${run.path}\n`);
setInterval(() => undefined, 60_000);

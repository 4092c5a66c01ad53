import { findExecutable } from '../../src/browser/process/executable.js';

const { CHROME_PATH: chromePath, PATH: searchPath } = process.env;

/** The browser of the tests, found as the server finds it. A test that does not come to import this runs without one. */
export const chromium = await findExecutable({ chromePath, searchPath });

/** Flags for a browser that a test starts itself. */
export const chromiumFlags: readonly string[] = [
  '--no-sandbox',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
  '--no-first-run',
  // Without renderers for a next page and for the suggestions of the address bar.
  '--disable-features=SpareRendererForSitePerProcess,WebUIOmniboxPopup,WebUIOmniboxAimPopup',
];

import type { Browser, CDPSession, Page } from 'puppeteer-core';
import { messageOf } from '../../errors/errors.js';
import { withBrowserCdpSession, withPageCdpSession } from '../cdp/cdpSessions.js';

export interface BrowserDescription {
  readonly userAgent: string;
  readonly headless: boolean;
  /** Whether the browser answers the `Extensions` domain over this connection. */
  readonly extensions: boolean;
}

/** CDP domains with a `disable` command, which has no effect on a new session and so can be used as a probe. */
const pageDomains = [
  'Accessibility',
  'Animation',
  'Audits',
  'CSS',
  'DOM',
  'DOMStorage',
  'Debugger',
  'Fetch',
  'HeapProfiler',
  'IndexedDB',
  'LayerTree',
  'Log',
  'Media',
  'Network',
  'Overlay',
  'Page',
  'Performance',
  'Preload',
  'Profiler',
  'Runtime',
  'Security',
  'ServiceWorker',
  'WebAudio',
  'WebAuthn',
] as const;

/** Describes the browser, from CDP Browser.getVersion and Extensions.getExtensions. */
export function describeBrowser(browser: Browser): Promise<BrowserDescription> {
  return withBrowserCdpSession(browser, async (cdp) => {
    const [{ userAgent }, extensions] = await Promise.all([
      cdp.send('Browser.getVersion'),
      isSupported(cdp, cdp.send('Extensions.getExtensions')),
    ]);
    return { userAgent, headless: userAgent.includes('Headless'), extensions };
  });
}

/** The CDP domains that this browser supports for a page. */
export function listDomains(page: Page): Promise<string[]> {
  return withPageCdpSession(page, async (cdp) => {
    const supported = await Promise.all(pageDomains.map((domain) => isSupported(cdp, cdp.send(`${domain}.disable`))));
    return pageDomains.filter((_, index) => supported[index]);
  });
}

/** Whether a command is supported: older browsers lack it, others reject it unless a flag allows it. */
async function isSupported(cdp: CDPSession, command: Promise<unknown>): Promise<boolean> {
  try {
    await command;
    return true;
  } catch (error) {
    if (cdp.detached) throw error;
    return !/wasn't found|not allowed|not available|unsafe/i.test(messageOf(error));
  }
}

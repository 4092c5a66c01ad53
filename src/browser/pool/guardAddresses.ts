import type { Browser, BrowserContext } from 'puppeteer-core';
import type { BrowserConnection } from '../process/browserConnection.js';
import { TargetGuard } from '../policy/targetGuard.js';
import { withBrowserCdpSession } from '../cdp/cdpSessions.js';
import type { SessionPageState } from './sessionPageState.js';
import type { PlacementIsolation } from './browserPlacement.js';

interface Place {
  readonly connection: BrowserConnection;
  readonly context: BrowserContext;
  readonly isolation: PlacementIsolation;
  readonly memory: SessionPageState;
}

/**
 * Holds everything that opens in the context to the session's address policy, until the answer is called. In a browser of
 * the user's own it holds only tools to it.
 */
export async function guardAddresses({ connection, context, isolation, memory }: Place): Promise<() => void> {
  const { addresses: policy, notices } = memory;
  const { browser, mode } = connection;
  if (mode === 'attach' && isolation === 'profile') {
    policy.enterUsersOwn();
    return () => undefined;
  }
  // Contexts hold no extensions.
  policy.enterOurs(isolation === 'context' ? undefined : () => installedIn(browser));
  const guard = await TargetGuard.of(browser);
  const onRefused = (url: string): void =>
    void notices.push(`A page went to ${url}, where no page of a session may be. It is blank now.`);
  return guard.enter({ context, policy, onRefused });
}

/** Chrome lists here what was installed, and none of the extensions that it is made with. */
async function installedIn(browser: Browser): Promise<ReadonlySet<string>> {
  const { extensions } = await withBrowserCdpSession(browser, (cdp) => cdp.send('Extensions.getExtensions'));
  return new Set(extensions.map(({ id }) => id));
}

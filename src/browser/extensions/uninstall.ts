import { sep } from 'node:path';
import type { Browser } from 'puppeteer-core';
import { timeLimit } from '../../clock.js';
import { ToolError } from '../../errors/errors.js';
import { withCdpScope, type CdpScope } from '../cdp/cdpScope.js';
import { chromeErrorText, listExtensions, type Extension } from './installedExtensions.js';

const uninstallTimeoutMs = 5_000;

/** Removes an extension with its storage (`Extensions.uninstall`). Its folder stays. Throws a ToolError if Chrome refuses. */
export async function uninstallExtension(scope: CdpScope, { id, name }: Extension): Promise<void> {
  try {
    await scope.untilAborted(scope.browser.send('Extensions.uninstall', { id }));
  } catch (error) {
    scope.signal.throwIfAborted();
    throw new ToolError(`Chrome did not uninstall ${name}: ${chromeErrorText(error)}`, { cause: error });
  }
}

/** Removes the extensions whose folder is about to be removed. Never rejects: a browser that is gone has none. */
export async function uninstallFromFolder(browser: Browser, folder: string): Promise<void> {
  const removing = withCdpScope(browser, timeLimit(uninstallTimeoutMs), async (scope) => {
    const extensions = await listExtensions(scope);
    const own = extensions.filter(({ path }) => path.startsWith(`${folder}${sep}`));
    await Promise.allSettled(own.map((extension) => uninstallExtension(scope, extension)));
  });
  await removing.catch(() => undefined);
}

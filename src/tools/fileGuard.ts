import type { SessionPage } from '../browser/page/page.js';
import { ToolError } from '../errors.js';
import { allowedUrl } from './navigationRules.js';
import { openSession } from '../browser/protocol/openSession.js';
import type { Workspace } from './workspace.js';

/** Pages that load no file from outside the workspace any more. */
const guarded = new WeakMap<SessionPage, Promise<void>>();

/**
 * A page of the workspace could go on to any file of the disk by itself (a script, a frame, a link): from here on its
 * requests for files outside are refused. A page that shows one already, as a window that was opened with it, is emptied.
 * For browsers of ours: in an attached one, what its user opens is the user's own business.
 */
export async function guardFiles(page: SessionPage, workspace: Workspace): Promise<void> {
  let guard = guarded.get(page);
  if (guard === undefined) {
    guard = refuseFiles(page, workspace);
    guarded.set(page, guard);
    guard.catch(() => guarded.delete(page));
  }
  await guard;
  for (const frame of page.page.frames()) {
    const url = frame.url();
    if (await mayLoad(url, workspace)) continue;
    await page.page.goto('about:blank');
    throw new ToolError(`The page showed ${url}, which is outside the folders that tools may use. It is blank now.`);
  }
}

async function refuseFiles(page: SessionPage, workspace: Workspace): Promise<void> {
  const cdp = await openSession(page.page);
  cdp.on('Fetch.requestPaused', ({ requestId, request }) => {
    void mayLoad(request.url, workspace)
      .then((may) =>
        may
          ? cdp.send('Fetch.continueRequest', { requestId })
          : cdp.send('Fetch.failRequest', { requestId, errorReason: 'AccessDenied' }),
      )
      // The page has cancelled the request meanwhile, or is gone.
      .catch(() => undefined);
  });
  await cdp.send('Fetch.enable', { patterns: [{ urlPattern: 'file://*' }] });
}

async function mayLoad(url: string, workspace: Workspace): Promise<boolean> {
  if (!url.toLowerCase().startsWith('file:')) return true;
  return allowedUrl(url, workspace).then(
    () => true,
    () => false,
  );
}

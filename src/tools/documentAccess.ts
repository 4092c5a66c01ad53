import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import { refusedAddress } from '../browser/policy/addressPolicy.js';
import { ToolError } from '../errors/errors.js';
import { requireInsideWorkspace, type Workspace } from './workspace.js';

/** The part of a call's context that is needed for the checks. */
interface DocumentAccess {
  readonly browser: SessionBrowser;
  readonly workspace: Workspace;
}

/**
 * Runs a tool only on documents that the session may see. Checks the documents of the page, or of all pages without one,
 * before the call and again before its answer, since a page may navigate meanwhile. A page with another document is set to
 * about:blank, and the call ends with a ToolError.
 */
export async function withAllowedDocuments<Answer>(
  { browser, workspace }: DocumentAccess,
  page: SessionPage | undefined,
  run: () => Promise<Answer>,
): Promise<Answer> {
  browser.addresses.useFiles((path) => requireInsideWorkspace(path, workspace));
  if (workspace.urls !== undefined) await browser.addresses.useRules(workspace.urls);
  const check = async (): Promise<void> => {
    for (const checked of page === undefined ? browser.pages() : [page]) await checkPage(browser, checked);
  };
  await check();
  const answer = await run();
  await check();
  return answer;
}

async function checkPage({ addresses }: SessionBrowser, page: SessionPage): Promise<void> {
  const [main, ...frames] = page.shown();
  const refused =
    (await firstRefused([main ?? ''], (url) => addresses.allowsPage(url))) ??
    (await firstRefused(frames, (url) => addresses.allowsPart(url)));
  if (refused === undefined) return;
  await page.makeBlank();
  throw new ToolError(
    `Page ${page.id} showed ${refusedAddress(refused)}, which a session may not open. The page is blank now. Call navigate_page to continue.`,
  );
}

async function firstRefused(
  urls: readonly string[],
  allows: (url: string) => Promise<boolean>,
): Promise<string | undefined> {
  for (const url of urls) if (!(await allows(url))) return url;
  return undefined;
}

import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import { ToolError } from '../errors/errors.js';
import { requireInsideWorkspace, type Workspace } from './workspace.js';

/** What a call may use, as far as it matters to what it may see. */
interface DocumentAccess {
  readonly browser: SessionBrowser;
  readonly workspace: Workspace;
}

/**
 * Runs a tool on what the session may see and nothing else: looks at what its pages show, before it runs and again before
 * its answer is given, since a page may go somewhere meanwhile. Without a page it is every page of the session. A page that
 * shows something else is made blank, and the call ends with a ToolError.
 */
export async function withAllowedDocuments<Answer>(
  { browser, workspace }: DocumentAccess,
  page: SessionPage | undefined,
  run: () => Promise<Answer>,
): Promise<Answer> {
  browser.addresses.useFiles((path) => requireInsideWorkspace(path, workspace));
  const check = async (): Promise<void> => {
    for (const one of page === undefined ? browser.pages() : [page]) await checkPage(browser, one);
  };
  await check();
  const answer = await run();
  await check();
  return answer;
}

async function checkPage({ addresses }: SessionBrowser, page: SessionPage): Promise<void> {
  const [main, ...parts] = page.shown();
  const refused =
    (await firstRefused([main ?? ''], (url) => addresses.allowsPage(url))) ??
    (await firstRefused(parts, (url) => addresses.allowsPart(url)));
  if (refused === undefined) return;
  await page.makeBlank();
  throw new ToolError(
    `Page ${page.id} showed ${refused}, where no page of a session may be. It is blank now. Use navigate_page to go on.`,
  );
}

async function firstRefused(
  urls: readonly string[],
  allows: (url: string) => Promise<boolean>,
): Promise<string | undefined> {
  for (const url of urls) if (!(await allows(url))) return url;
  return undefined;
}

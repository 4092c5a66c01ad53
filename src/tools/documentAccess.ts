import { quoted } from '../browser/page/accessibility.js';
import type { FrameDocument } from '../browser/page/frames.js';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import { refusedAddress } from '../browser/policy/addressPolicy.js';
import { SourceMapProblem } from '../browser/sources/sourceNames.js';
import { messageOf, ToolError } from '../errors/errors.js';
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

/** The PDFs among the documents of a page, the page itself first. */
async function pdfDocuments(page: SessionPage): Promise<FrameDocument[]> {
  return (await page.frames.documents()).filter(({ mimeType }) => mimeType === 'application/pdf');
}

/** A PDF that the page itself is, as its server sends it; undefined for another page. Throws a SourceMapProblem. */
export async function pdfOfPage(
  browser: SessionBrowser,
  page: SessionPage,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const document = (await pdfDocuments(page)).find(({ parentId }) => parentId === undefined);
  return document && loadDocument(browser, page, document, signal);
}

function loadDocument(
  { sources }: SessionBrowser,
  page: SessionPage,
  document: FrameDocument,
  signal: AbortSignal,
): Promise<Buffer> {
  const { cdp, frameId, url } = document;
  if (url.startsWith('blob:')) return bytesOfBlob(document);
  return sources.loadBytes(url, { targetId: page.frames.targetIdOf(cdp), frameId }, signal);
}

/** What a page made itself; no other way leads to it. */
async function bytesOfBlob({ cdp, frameId, url }: FrameDocument): Promise<Buffer> {
  const { content, base64Encoded } = await cdp
    .send('Page.getResourceContent', { frameId, url })
    .catch((error: unknown) => {
      throw new SourceMapProblem('is at a blob: address of a page without an origin', { cause: error });
    });
  return Buffer.from(content, base64Encoded ? 'base64' : 'utf8');
}

interface WrittenPdf {
  /** As a snapshot shows it. */
  readonly lines: readonly string[];
  readonly text: string;
}

/** The texts that were read of the PDFs that a page shows, by document. */
const pdfTexts = new WeakMap<SessionPage, ReadonlyMap<string, WrittenPdf>>();

/** What is written in the PDFs that a page shows, a line each: the browser's viewer shows it without elements. */
export async function pdfLines(browser: SessionBrowser, page: SessionPage, signal: AbortSignal): Promise<string[]> {
  return (await readPdfs(browser, page, signal)).flatMap(({ lines }) => lines);
}

/** The same as one text, to be searched. */
export async function pdfText(browser: SessionBrowser, page: SessionPage, signal: AbortSignal): Promise<string> {
  return (await readPdfs(browser, page, signal)).map(({ text }) => text).join('\n');
}

async function readPdfs(browser: SessionBrowser, page: SessionPage, signal: AbortSignal): Promise<WrittenPdf[]> {
  const before = pdfTexts.get(page);
  const texts = new Map<string, WrittenPdf>();
  for (const document of await pdfDocuments(page)) {
    const key = `${document.frameId} ${document.loaderId}`;
    texts.set(key, before?.get(key) ?? (await textOfPdf(browser, page, document, signal)));
  }
  if (texts.size > 0) pdfTexts.set(page, texts);
  return [...texts.values()];
}

async function textOfPdf(
  browser: SessionBrowser,
  page: SessionPage,
  document: FrameDocument,
  signal: AbortSignal,
): Promise<WrittenPdf> {
  const name = `PDF ${quoted(document.url.slice(0, 300))}`;
  try {
    const bytes = new Uint8Array(await loadDocument(browser, page, document, signal));
    const { pages, lines } = await browser.sources.reader.call('pdf', { bytes }, signal);
    const written = lines.flatMap((each, index) => [
      ` page ${index + 1}`,
      ...each.map((line) => `  text ${quoted(line)}`),
    ]);
    const isEmpty = lines.every((each) => each.length === 0);
    const rest = isEmpty ? [' without a text: take_screenshot shows it'] : written;
    const left = pages - lines.length;
    const head = `${name}, ${pages} ${pages === 1 ? 'page' : 'pages'}; save_pdf keeps it`;
    const more = left > 0 ? [` … ${left} more pages`] : [];
    return { lines: [head, ...rest, ...more], text: lines.flat().join('\n') };
  } catch (error) {
    signal.throwIfAborted();
    return { lines: [`${name}, whose text is not read: it ${messageOf(error)}. take_screenshot shows it`], text: '' };
  }
}

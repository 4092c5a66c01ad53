import { z } from 'zod';
import { timeLimit } from '../clock.js';
import { asRead } from '../browser/injected/contract.js';
import { findUrls } from '../browser/patterns/urlPattern.js';
import { runScript } from '../browser/page/runScript.js';
import { pollUntil, waitForText, waitForTextGone } from '../browser/page/waitForText.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import { messageOf, ToolError } from '../errors/errors.js';
import { loadTimeout, navigationTimeoutMs } from './answers.js';
import { definePageTool } from './defineTool.js';
import { pdfText } from './documentAccess.js';
import { requestLine } from './networkTools.js';

/** What to wait for: resolves with the found text; `missing` says what was missing at the deadline. */
interface Wait {
  readonly until: (signal: AbortSignal) => Promise<{ readonly text: string; readonly found: string }>;
  readonly missing: () => string;
}

export const waitForTool = definePageTool({
  name: 'wait_for',
  title: 'Wait',
  group: 'pages',
  description: 'Wait for one of these. Actions wait for their own effects: use this for later ones',
  input: z.strictObject({
    text: z.array(z.string().min(1)).min(1).optional().describe('Any of these texts is shown'),
    textGone: z.string().min(1).optional().describe('This text is not shown'),
    request: z.string().min(1).optional().describe('A request has ended: text in its URL, glob or /regex/'),
    function: z.string().min(1).optional().describe('It returns a true value: () => window.ready'),
    timeout: loadTimeout,
  }),
  output: z.object({ found: z.string() }),
  annotations: { readOnlyHint: true },
  timeoutMs: navigationTimeoutMs,
  async handler({ timeout, ...conditions }, { page, browser, signal }) {
    const wait = waitOf(conditions, { page, browser });
    const limit = timeLimit(timeout);
    try {
      const { text, found } = await wait.until(AbortSignal.any([signal, limit]));
      return { text, structured: { found } };
    } catch (error) {
      if (signal.aborted || !limit.aborted) throw error;
      throw new ToolError(
        `${wait.missing()} within ${timeout / 1000} s. take_snapshot shows the page; pass a longer timeout if it needs more time.`,
      );
    }
  },
});

interface Conditions {
  readonly text?: readonly string[] | undefined;
  readonly textGone?: string | undefined;
  readonly request?: string | undefined;
  readonly function?: string | undefined;
}

/** Throws a ToolError unless there is exactly one condition. */
function waitOf({ text, textGone, request, function: source }: Conditions, shown: Shown): Wait {
  const { page } = shown;
  const waits = [
    ...(text === undefined ? [] : [textShown(shown, text)]),
    ...(textGone === undefined ? [] : [textHidden(shown, textGone)]),
    ...(request === undefined ? [] : [requestEnded(page, request)]),
    ...(source === undefined ? [] : [functionTrue(page, source)]),
  ];
  const [wait] = waits;
  if (wait === undefined || waits.length > 1) throw new ToolError('Pass one of text, textGone, request, function.');
  return wait;
}

interface Shown {
  readonly page: SessionPage;
  readonly browser: SessionBrowser;
}

function textShown({ page, browser }: Shown, texts: readonly string[]): Wait {
  const inPdf = async (signal: AbortSignal): Promise<string | undefined> => {
    const written = await writtenInPdfs({ page, browser }, signal);
    return texts.find((text) => written.includes(asRead(text)));
  };
  return {
    async until(signal) {
      const found = new AbortController();
      const either = AbortSignal.any([signal, found.signal]);
      try {
        const text = await Promise.race([
          waitForText(page, texts, either),
          pollUntil(either, () => inPdf(either), pdfPollMs),
        ]);
        return { text: `The page shows ${JSON.stringify(text)}.`, found: text };
      } finally {
        found.abort();
      }
    },
    missing: () => `The page did not show ${texts.map((text) => JSON.stringify(text)).join(', ')}`,
  };
}

const pdfPollMs = 500;

/** What no element shows. Nothing while a document is replaced: its successor is read in the next round. */
async function writtenInPdfs({ page, browser }: Shown, signal: AbortSignal): Promise<string> {
  return asRead(await pdfText(browser, page, signal).catch(() => ''));
}

function textHidden({ page, browser }: Shown, text: string): Wait {
  return {
    until: (signal) =>
      pollUntil(signal, async () => {
        await waitForTextGone(page, text, signal);
        const isWritten = (await writtenInPdfs({ page, browser }, signal)).includes(asRead(text));
        return isWritten ? undefined : { text: `The page does not show ${JSON.stringify(text)}.`, found: text };
      }),
    missing: () => `The page did not stop showing ${JSON.stringify(text)}`,
  };
}

/** The newest request of that address counts, also one that ended before the call. */
function requestEnded(page: SessionPage, url: string): Wait {
  let pending: string | undefined;
  return {
    until: (signal) =>
      pollUntil(signal, async () => {
        const { entries } = page.network.read();
        const urls = await findUrls(
          url,
          entries.map(({ value }) => value.url),
          signal,
        );
        const newest = entries.filter(({ value }) => urls.has(value.url)).at(-1);
        if (newest === undefined) return undefined;
        const line = requestLine(newest.id, newest.value);
        pending = line;
        return newest.value.state === 'pending' ? undefined : { text: `Ended: ${line}`, found: line };
      }),
    missing: () =>
      pending === undefined ? `No request matched ${JSON.stringify(url)}` : `This request did not end: ${pending},`,
  };
}

const falseResults = ['false', 'null', '0', '""', 'NaN', '-0'];

function functionTrue(page: SessionPage, source: string): Wait {
  let last = 'nothing';
  return {
    until: (signal) =>
      pollUntil(signal, async () => {
        try {
          const { text, type } = await runScript(page, source, [], signal);
          last = text;
          return type === 'undefined' || falseResults.includes(text)
            ? undefined
            : { text: `It returned ${text}.`, found: text };
        } catch (error) {
          // What it reads may not be there yet.
          if (!(error instanceof ToolError) || error.message.includes('is no JavaScript')) throw error;
          last = `an error: ${messageOf(error)}`;
          return undefined;
        }
      }),
    missing: () => `The function did not return a true value (it returned ${last})`,
  };
}

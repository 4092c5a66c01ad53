import { z } from 'zod';
import { timeLimit } from '../clock.js';
import { findUrls } from '../browser/patterns/urlPattern.js';
import { runScript } from '../browser/page/runScript.js';
import { pollUntil, waitForText, waitForTextGone } from '../browser/page/waitForText.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import { messageOf, ToolError } from '../errors/errors.js';
import { loadTimeout, navigationTimeoutMs } from './answers.js';
import { definePageTool } from './defineTool.js';
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
  async handler({ timeout, ...conditions }, { page, signal }) {
    const wait = waitOf(conditions, page);
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
function waitOf({ text, textGone, request, function: source }: Conditions, page: SessionPage): Wait {
  const waits = [
    ...(text === undefined ? [] : [textShown(page, text)]),
    ...(textGone === undefined ? [] : [textHidden(page, textGone)]),
    ...(request === undefined ? [] : [requestEnded(page, request)]),
    ...(source === undefined ? [] : [functionTrue(page, source)]),
  ];
  const [wait] = waits;
  if (wait === undefined || waits.length > 1) throw new ToolError('Pass one of text, textGone, request, function.');
  return wait;
}

function textShown(page: SessionPage, texts: readonly string[]): Wait {
  return {
    async until(signal) {
      const found = await waitForText(page, texts, signal);
      return { text: `The page shows ${JSON.stringify(found)}.`, found };
    },
    missing: () => `The page did not show ${texts.map((text) => JSON.stringify(text)).join(', ')}`,
  };
}

function textHidden(page: SessionPage, text: string): Wait {
  return {
    async until(signal) {
      await waitForTextGone(page, text, signal);
      return { text: `The page does not show ${JSON.stringify(text)}.`, found: text };
    },
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

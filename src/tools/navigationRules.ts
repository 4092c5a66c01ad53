import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { ToolError } from '../errors.js';
import { insideWorkspace, type Workspace } from './workspace.js';

const maxLoadMs = 120_000;

/** In milliseconds. */
export const loadTimeout = z.number().int().min(1).max(maxLoadMs).default(15_000).describe('ms');

/** Deadline of a tool that takes a `loadTimeout`: what is asked for, and time to settle and answer. */
export const navigationTimeoutMs = maxLoadMs + 10_000;

const allowedSchemes: ReadonlySet<string> = new Set(['http:', 'https:', 'data:', 'blob:', 'chrome-extension:']);

/** `example.com/x`, `127.0.0.1:8080`, `localhost`: a host without a scheme, as one types it. */
const bareHost = /^(localhost|\[[\da-f:.]+\]|[\w-]+(\.[\w-]+)+)(:\d+)?([/?#]|$)/i;

/**
 * The address as a page may be sent there; a host without a scheme is taken as http. Throws a ToolError for what would reach the server's disk outside the
 * workspace, the browser's own settings, or run as a script.
 */
export async function allowedUrl(asked: string, workspace: Workspace): Promise<string> {
  const text = bareHost.test(asked) ? `http://${asked}` : asked;
  if (text === 'about:blank') return text;
  if (!URL.canParse(text)) {
    throw new ToolError(`${JSON.stringify(text)} is no URL. Write it in full: https://example.com/.`);
  }
  const url = new URL(text);
  if (allowedSchemes.has(url.protocol)) return url.href;
  if (url.protocol === 'file:') {
    if (url.host !== '')
      throw new ToolError(`${text} names another machine. Only files of the workspace can be opened.`);
    await insideWorkspace(fileURLToPath(url), workspace);
    return url.href;
  }
  const guess = /^[a-z0-9.-]+:\d+/i.test(text) ? ` Did you mean http://${text}?` : '';
  throw new ToolError(
    `${url.protocol} addresses are not opened. Use http, https, data, blob, chrome-extension, about:blank, or a file ` +
      `of the workspace.${guess}`,
  );
}

import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { timeLimit } from '../clock.js';
import { messageOf } from '../errors/errors.js';
import { userUsageSchema } from '../session/userQuotas.js';

export interface TopOptions {
  /** The server's address, with or without `/sse`. */
  readonly url: string;
  /** Writes the text without adding a line end. */
  write(text: string): void;
  /** The size of the terminal, read before each refresh; null prints the table once, for a file or a pipe. */
  readonly screen: (() => Screen) | null;
  readonly colored: boolean;
  /** Resolves when the user quits. */
  readonly stopped: Promise<unknown>;
  /** The `Authorization` header, for a server with authentication. */
  readonly authorization?: string | undefined;
}

export interface Screen {
  readonly columns: number;
  readonly rows: number;
}

const refreshMs = 1_000;

const sessionListSchema = z.object({
  rows: z.array(
    z.object({
      id: z.string(),
      user: z.string(),
      transport: z.string(),
      client: z.object({ name: z.string(), version: z.string() }).nullable(),
      state: z.string(),
      since: z.number(),
      calls: z.number(),
      errors: z.number(),
      browser: z.string(),
      closedBecause: z.string().nullable(),
      node: z.string().optional(),
    }),
  ),
  users: z.array(userUsageSchema.extend({ node: z.string().optional() })),
  now: z.number(),
});

type SessionList = z.output<typeof sessionListSchema>;

const clearScreen = '\u001b[H\u001b[J';
const alternateScreen = { enter: '\u001b[?1049h\u001b[?25l', leave: '\u001b[?25h\u001b[?1049l' };
const stateColors: Readonly<Record<string, string>> = {
  created: '\u001b[33m',
  'tools-registered': '\u001b[35m',
  connected: '\u001b[34m',
  active: '\u001b[32m',
  closed: '\u001b[2m',
};

/**
 * `greenroom top`: the session table of the inspector in a terminal, newest session first, until the user quits; without a
 * terminal it is printed once. Resolves with the exit code. Rejects if the first request fails; later failures are shown
 * and retried.
 */
export async function top(options: TopOptions): Promise<number> {
  const { write, screen, stopped } = options;
  const sessionList = await fetchSessions(options);
  if (screen === null) {
    write(`${renderTable(sessionList, { columns: 120, rows: Infinity }, false).join('\n')}\n`);
    return 0;
  }
  write(alternateScreen.enter);
  const show = (lines: readonly string[]): void => write(clearScreen + lines.join('\r\n'));
  show(renderTable(sessionList, screen(), options.colored));
  while (!(await isStoppedWithinRefresh(stopped))) {
    try {
      show(renderTable(await fetchSessions(options), screen(), options.colored));
    } catch (error) {
      show([messageOf(error), 'Retrying. Press q to quit.']);
    }
  }
  write(alternateScreen.leave);
  return 0;
}

function sessionsRefused(url: string, status: number): string {
  const fix = status === 401 ? "set GREENROOM_ADMIN_TOKEN to the operator's token" : 'check --url';
  return `${url} answered ${status} to the request for its sessions: ${fix}.`;
}

async function fetchSessions({ url, authorization }: TopOptions): Promise<SessionList> {
  const address = new URL(url);
  address.pathname = `${address.pathname.replace(/(?:\/sse)?\/{0,9}$/, '')}/inspector/sessions`;
  const headers = authorization === undefined ? {} : { authorization };
  const response = await fetch(address, { headers, signal: timeLimit(5_000) }).catch((error: unknown) => {
    throw new Error(`Cannot reach ${url}: is a server running there? Start one with: greenroom serve`, {
      cause: error,
    });
  });
  if (!response.ok) throw new Error(sessionsRefused(url, response.status));
  const parsed = sessionListSchema.safeParse(await response.json().catch(() => undefined));
  if (!parsed.success) throw new Error(`${url} does not answer as a Greenroom server.`);
  return parsed.data;
}

function renderTable(list: SessionList, { columns: width, rows: height }: Screen, colored: boolean): string[] {
  const { rows, users, now } = list;
  const open = rows.filter(({ state }) => state !== 'closed').length;
  const cells = rows.map((row) => ({ state: row.state, cells: formatRow(row, now) }));
  const hasManyNodes = new Set(rows.map(({ node }) => node)).size > 1;
  const columns = ['SESSION', 'USER', 'STATE', 'FOR', 'CLIENT', 'TRANSPORT', 'BROWSER', 'CALLS', 'ERRORS'];
  const head = hasManyNodes ? [...columns, 'NODE'] : columns;
  const userLines = users.length === 0 ? [] : ['', ...alignColumns([userColumns, ...users.map(formatUser)], width)];
  const shown = cells.slice(0, Math.max(1, height - 4 - userLines.length));
  const [headLine = '', ...lines] = alignColumns(
    [head, ...shown.map(({ cells: texts }) => texts.slice(0, head.length))],
    width,
  );
  const body = lines.map((line, index) => {
    const color = colored ? stateColors[shown[index]?.state ?? ''] : undefined;
    return color === undefined ? line : `${color}${line}\u001b[0m`;
  });
  const more = cells.length - body.length;
  const title = `${open} open, ${rows.length - open} closed${more > 0 ? `, ${more} not shown` : ''}`;
  return [title, '', headLine, ...body, ...userLines];
}

function alignColumns(lines: readonly (readonly string[])[], width: number): string[] {
  const [head = []] = lines;
  const widths = head.map((_title, index) => Math.max(...lines.map((texts) => texts[index]?.length ?? 0)));
  return lines.map((texts) =>
    texts
      .map((text, index) => text.padEnd(widths[index] ?? 0))
      .join('  ')
      .slice(0, width)
      .trimEnd(),
  );
}

const userColumns = ['USER', 'SESSIONS', 'PROCESSES', 'BROWSER TIME', 'MEMORY', 'KEPT', 'DOWNLOADS', 'DISK'];

/** The use, and after a slash the quota. */
function formatUser(usage: SessionList['users'][number]): string[] {
  const { user, sessions, processes, browserMs, memoryBytes, keptBytes, downloadBytes, diskBytes, quotas, node } =
    usage;
  const of = (name: string, used: number, format: (amount: number) => string): string =>
    [used, quotas[name]].flatMap((amount) => (amount === undefined ? [] : format(amount))).join('/');
  return [
    node === undefined ? user : `${user} (${node})`,
    String(sessions),
    of('processes', processes, String),
    of('browser-time', browserMs, formatAge),
    of('memory', memoryBytes, formatBytes),
    formatBytes(keptBytes),
    of('downloads', downloadBytes, formatBytes),
    of('disk', diskBytes, formatBytes),
  ].map(printable);
}

const formatBytes = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(1)}MB`;

function formatRow(row: SessionList['rows'][number], now: number): string[] {
  const { id, user, state, since, client, transport, browser, calls, errors, closedBecause, node = '-' } = row;
  const stateText = closedBecause === null ? state : `${state} (${closedBecause})`;
  const name = client === null ? '-' : `${client.name} ${client.version}`;
  const texts = [
    id,
    user,
    stateText,
    formatAge(now - since),
    name,
    transport,
    browser,
    String(calls),
    String(errors),
    node,
  ];
  return texts.map(printable);
}

/** Removes control characters: names of clients and users are untrusted, and could send escape sequences. */
function printable(text: string): string {
  return text.replace(/\p{C}/gu, '').slice(0, 40);
}

function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  if (seconds < 60) return `${seconds}s`;
  return seconds < 3_600 ? `${Math.floor(seconds / 60)}m${seconds % 60}s` : `${Math.floor(seconds / 3_600)}h`;
}

/** Whether the user quits; resolves with false after the refresh interval. */
async function isStoppedWithinRefresh(stopped: Promise<unknown>): Promise<boolean> {
  const refreshTimer = new AbortController();
  try {
    return await Promise.race([stopped.then(() => true), pause(refreshMs, false, { signal: refreshTimer.signal })]);
  } finally {
    refreshTimer.abort();
  }
}

import { z } from 'zod';
import type { PageStorage } from '../../browser/page/pageStorage.js';
import { ToolError } from '../../errors/errors.js';

const stateItems = z.array(z.object({ name: z.string(), value: z.string() }));

/** The format in which Playwright saves a state, with `sessionStorage` added: files of either can be restored. */
const stateSchema = z.object({
  cookies: z.array(
    z.object({
      name: z.string(),
      value: z.string(),
      domain: z.string(),
      path: z.string().default('/'),
      expires: z.number().default(-1),
      httpOnly: z.boolean().default(false),
      secure: z.boolean().default(false),
      sameSite: z.enum(['Strict', 'Lax', 'None']).optional(),
    }),
  ),
  origins: z.array(
    z.object({ origin: z.string(), localStorage: stateItems.default([]), sessionStorage: stateItems.default([]) }),
  ),
});

export type StorageState = z.infer<typeof stateSchema>;

export async function readState(storage: PageStorage): Promise<StorageState> {
  const [cookies, localStorage, sessionStorage] = await Promise.all([
    storage.cookies(),
    storage.items('local'),
    storage.items('session'),
  ]);
  return { cookies, origins: [{ origin: storage.origin, localStorage, sessionStorage }] };
}

/** Throws a ToolError that says what in the text is not as it should be. */
export function parseState(text: string, from: string): StorageState {
  const checked = stateSchema.safeParse(jsonOf(text));
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues;
  throw new ToolError(`${from} holds no saved storage: "${issue?.path.join('.') ?? ''}": ${issue?.message ?? ''}.`);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Makes the page's storage what the state says: what else the page had stored goes. Answers how many items there are
 * now. Throws a ToolError, before anything has changed, when the state has nothing of the page's origin.
 */
export async function restoreState(storage: PageStorage, state: StorageState): Promise<number> {
  const own = state.origins.find(({ origin }) => origin === storage.origin);
  const cookies = state.cookies.filter(({ domain }) => isDomainOf(domain, storage.url));
  if (own === undefined && cookies.length === 0) {
    const saved = [...state.origins.map(({ origin }) => origin), ...state.cookies.map(({ domain }) => domain)];
    const known = [...new Set(saved)].join(', ') || 'nothing';
    throw new ToolError(
      `The saved storage has nothing of ${storage.origin}, but of ${known}. Call navigate_page first.`,
    );
  }
  await storage.deleteCookies(await storage.cookies());
  for (const { name, value, ...attributes } of cookies) {
    const { domain, expires, ...rest } = attributes;
    // With a domain a cookie is one for subdomains too; without one it is the host's alone.
    const place = domain.startsWith('.') ? { domain } : {};
    await storage.setCookie({ name, value }, { ...rest, ...place, ...(expires === -1 ? {} : { expires }) });
  }
  const { localStorage = [], sessionStorage = [] } = own ?? {};
  for (const [area, items] of [['local', localStorage] as const, ['session', sessionStorage] as const]) {
    await storage.clearItems(area);
    for (const item of items) await storage.setItem(area, item);
  }
  return cookies.length + localStorage.length + sessionStorage.length;
}

function isDomainOf(domain: string, url: string): boolean {
  const bare = domain.replace(/^\./, '');
  const { hostname } = new URL(url);
  return hostname === bare || (domain.startsWith('.') && hostname.endsWith(`.${bare}`));
}

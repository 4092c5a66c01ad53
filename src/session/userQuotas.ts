import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock } from '../clock.js';
import { noop } from '../async.js';
import type { LeaseUsage } from '../browser/pool/browserLease.js';
import { Refusal } from '../errors/errors.js';
import type { Log } from '../log.js';
import { SpentTime, type BrowserTime, type KeptText } from './browserTime.js';
import { principalKey, type Principal } from '../tenancy/principal.js';
import type { Tool } from '../tools/defineTool.js';

/** What a user may use: browser processes, milliseconds of browser time in a day (UTC), and bytes of the others. */
export type Quotas = Readonly<Partial<Record<QuotaName, number>>>;
export type QuotaName = 'processes' | 'browser-time' | 'memory' | 'downloads' | 'disk';

/** What the sessions of one user use at this node, and what they may use. */
export const userUsageSchema = z.object({
  user: z.string(),
  sessions: z.number(),
  /** Browser processes that the sessions use alone. */
  processes: z.number(),
  /** Today (UTC), of sessions that have ended too. */
  browserMs: z.number(),
  /** Resident memory of these processes. */
  memoryBytes: z.number(),
  /** What the server keeps for the clients: answers that they have not read, and what is recorded of their pages. */
  keptBytes: z.number(),
  downloadBytes: z.number(),
  /** Profiles, folders and resources of the sessions, downloads included. */
  diskBytes: z.number(),
  quotas: z.record(z.string(), z.number()),
});
export type UserUsage = Readonly<z.infer<typeof userUsageSchema>>;

type Figures = Omit<UserUsage, 'user' | 'quotas'>;

/** A session, as its use is measured. */
interface MeasuredSession {
  readonly id: string;
  readonly principal: Principal;
  readonly state: string;
  readonly lease: 'eager' | 'lazy';
  /** Whether its browser is a process of its own from the start. */
  readonly hasOwnProcess: boolean;
  readonly browserTime: BrowserTime;
  readonly closed: Promise<void>;
  readonly memory: { readonly keptBytes: number };
  readonly resources: { readonly bytes: number };
  readonly browserLease:
    { readonly current: { readonly isolation: string } | undefined; readonly usage?: LeaseUsage } | undefined;
  close(because: 'operator-closed'): void;
}

export interface UserQuotasOptions {
  /** The open sessions of clients. */
  sessions(): readonly MeasuredSession[];
  /** Whether users can have quotas of their own. */
  readonly hasUsers: boolean;
  /** What other nodes have published of a user's sessions. Never rejects. */
  readonly elsewhere?: ((user: string) => Promise<readonly Figures[]>) | undefined;
  /** The quotas of one user, which take precedence over those of the server. */
  quotasOf(principal: Principal): Promise<readonly string[]>;
  /** Where the browser time of today outlives this process. */
  readonly spentTime?: KeptText | undefined;
  /** `--user-quota`. */
  readonly defaults: readonly string[];
  /** Resident memory of processes with their descendants; null where it cannot be read. */
  residentMemory(pids: readonly number[]): Promise<number | null>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Measuring reads folders and processes: a measurement is used for this long. */
const measuredMs = 2_000;
/** How often sessions are ended whose user is far over a quota. */
const checkIntervalMs = 10_000;
/** So many times a quota of memory or disk, which pages can fill without a call. */
const endedAt = 2;

/** What is about to be done: use the browser, open something in it, store a result, or start a process. */
type Demand = 'use' | 'grow' | 'store' | 'process';

const demanded: Readonly<Record<QuotaName, readonly Demand[]>> = {
  'browser-time': ['use', 'grow', 'process'],
  memory: ['grow', 'process'],
  disk: ['grow', 'store', 'process'],
  processes: ['process'],
  // Checked where a download begins.
  downloads: [],
};

const freed: Readonly<Record<QuotaName, string>> = {
  processes: 'One is free again when a session ends, or close_browser closes a browser',
  'browser-time': 'It starts again at 00:00 UTC',
  memory: 'close_page, close_browser and the end of a session free some',
  downloads: 'The files go when their session ends',
  disk: 'close_browser and the end of a session free some, with profile, files and resources',
};

/**
 * What each user uses of this server, and the bounds on it (`--user-quota`, and those of a user). Owned by the
 * orchestrator, which closes it.
 */
export class UserQuotas {
  readonly #options: UserQuotasOptions;
  /** Of every user, `--user-quota`. May be changed while it runs; then `start` has to be called again. */
  defaults: Quotas;
  readonly #spent: SpentTime;
  readonly #measured = new Map<string, { readonly at: number; readonly figures: Promise<Figures> }>();
  #checked: readonly UserUsage[] = [];
  #timer: unknown;
  #isClosed = false;

  constructor(options: UserQuotasOptions) {
    this.#options = options;
    this.defaults = parseQuotas(options.defaults);
    this.#spent = new SpentTime(options.spentTime);
  }

  /** From now on sessions end whose user is far over a quota, and other nodes are told of the use. */
  start(): void {
    const { clock, log, elsewhere } = this.#options;
    if (!this.#isBounded && elsewhere === undefined) return;
    const check = (): void => {
      this.#endExcess()
        .catch((error: unknown) => log.warn('quotas not checked', { error: String(error) }))
        .finally(() => this.#isClosed || (this.#timer = clock.setTimeout(check, checkIntervalMs)));
    };
    this.#timer ??= clock.setTimeout(check, checkIntervalMs);
  }

  /** Resolves when the browser time of today is written down. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#options.clock.clearTimeout(this.#timer);
    if (this.#isBounded) await this.#keepSpent();
  }

  /** What other nodes are told: memory and disk as of the last check, counts as of now. */
  get published(): readonly UserUsage[] {
    const checked = new Map(this.#checked.map((usage) => [usage.user, usage]));
    return [...this.#users()].map(([key, { user }]) => {
      const { browserMs, ...counts } = this.#counts(key);
      // The same text for some seconds: it is published when it has changed.
      const rounded = browserMs - (browserMs % checkIntervalMs);
      return { ...nothingMeasured, quotas: {}, ...checked.get(user), user, ...counts, browserMs: rounded };
    });
  }

  /** Counts the browser time of a session after its end too. */
  follow({ principal, browserTime, closed }: MeasuredSession): void {
    const key = principalKey(principal);
    void closed.then(() => {
      const now = this.#options.clock.now();
      browserTime.stop();
      this.#spent.add(key, browserTime.today(), now);
      if (this.#isClosed && this.#isBounded) void this.#keepSpent();
    });
  }

  /** Does it, or throws `quota_exceeded` if the user may not do this now. Nothing comes between the check and `run`. */
  async admit<T>(principal: Principal, demand: Demand, run: () => T): Promise<T> {
    if (!this.#isBounded) return run();
    const quotas = await this.#quotasOf(principal);
    const names = quotaNames.filter((name) => quotas[name] !== undefined && demanded[name].includes(demand));
    if (names.length === 0) return run();
    const key = principalKey(principal);
    await this.#spent.restored(this.#options.clock.now());
    const measured = await this.#measure(key);
    const elsewhere = (await this.#options.elsewhere?.(principal.user)) ?? [];
    const used = elsewhere.reduce(sumOf, { ...measured, ...this.#counts(key) });
    for (const name of names) {
      const limit = quotas[name] ?? Number.POSITIVE_INFINITY;
      if (amountOf(name, used) >= limit) throw quotaExceeded(name, amountOf(name, used), limit);
    }
    return run();
  }

  /** Throws `quota_exceeded` if the user of a session may not call the tool now. */
  checkCall(session: MeasuredSession, { name, needs }: Pick<Tool, 'name' | 'needs'>): Promise<void> | undefined {
    if (!this.#isBounded) return undefined;
    const isolation = session.browserLease?.current?.isolation;
    const moves = isolation === 'context' && (needs === 'process' || needs === 'extension');
    const starts = isolation === undefined && session.hasOwnProcess;
    const demand = moves || starts ? 'process' : growing.has(name) ? 'grow' : 'use';
    return this.admit(session.principal, demand, noop);
  }

  /** Why a user's download is cancelled; undefined if it may go on. */
  async downloadRefusal(principal: Principal): Promise<string | undefined> {
    const quotas = await this.#quotasOf(principal);
    const { downloads = Number.POSITIVE_INFINITY, disk = Number.POSITIVE_INFINITY } = quotas;
    const bytes = this.#sessionsOf(principalKey(principal)).reduce((sum, session) => sum + downloadsOf(session), 0);
    if (bytes > downloads) return quotaExceeded('downloads', bytes, downloads).message;
    return bytes > disk ? quotaExceeded('disk', bytes, disk).message : undefined;
  }

  /** Each user with an open session. */
  async usage(): Promise<UserUsage[]> {
    return Promise.all(
      [...this.#users()].map(async ([key, principal]) => ({
        user: principal.user,
        ...(await this.#measure(key)),
        quotas: await this.#quotasOf(principal),
      })),
    );
  }

  /** Those with an open session, by key. */
  #users(): ReadonlyMap<string, Principal> {
    return new Map(this.#options.sessions().map(({ principal }) => [principalKey(principal), principal]));
  }

  /** Never rejects. */
  async #keepSpent(): Promise<void> {
    const { clock, log, sessions } = this.#options;
    await this.#spent.restored(clock.now());
    const now = clock.now();
    const open = sessions().map(
      ({ principal, browserTime }) => [principalKey(principal), browserTime.today()] as const,
    );
    await this.#spent
      .keep(open, now)
      .catch((error: unknown) => log.warn('browser time not kept', { error: String(error) }));
  }

  get #isBounded(): boolean {
    return this.#options.hasUsers || Object.keys(this.defaults).length > 0;
  }

  async #quotasOf(principal: Principal): Promise<Quotas> {
    return { ...this.defaults, ...parseQuotas(await this.#options.quotasOf(principal)) };
  }

  async #measure(key: string): Promise<Figures> {
    const now = this.#options.clock.now();
    const known = this.#measured.get(key);
    const sessions = this.#sessionsOf(key);
    if (known === undefined || now - known.at >= measuredMs) {
      const figures = this.#read(sessions);
      figures.catch(() => this.#measured.delete(key));
      this.#measured.set(key, { at: now, figures });
      if (this.#measured.size > maxMeasured) this.#measured.delete(this.#measured.keys().next().value ?? '');
    }
    const figures = await (this.#measured.get(key)?.figures ?? this.#read(sessions));
    return { ...figures, ...this.#counts(key) };
  }

  /** What needs no measuring. */
  #counts(key: string): Pick<Figures, 'sessions' | 'processes' | 'browserMs'> {
    const now = this.#options.clock.now();
    const sessions = this.#sessionsOf(key);
    const processes = sessions.filter(usesProcess).length;
    const spent = this.#spent.today(key, now);
    const browserMs = sessions.reduce((sum, { browserTime }) => sum + browserTime.today(), spent);
    return { sessions: sessions.length, processes, browserMs };
  }

  async #read(sessions: readonly MeasuredSession[]): Promise<Figures> {
    const usages = sessions.flatMap(({ browserLease }) => browserLease?.usage ?? []);
    const pids = usages.flatMap(({ process }) => process ?? []);
    const folders = usages.flatMap(({ folder }) => folder ?? []);
    const onDisk = await Promise.all(folders.map(folderBytes));
    const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
    return {
      ...nothingMeasured,
      memoryBytes: pids.length === 0 ? 0 : ((await this.#options.residentMemory(pids)) ?? 0),
      keptBytes: sum(sessions.map(({ memory }) => memory.keptBytes)),
      downloadBytes: sum(sessions.map(downloadsOf)),
      diskBytes: sum([...onDisk, ...sessions.map(({ resources }) => resources.bytes)]),
    };
  }

  #sessionsOf(key: string): MeasuredSession[] {
    return this.#options.sessions().filter(({ principal }) => principalKey(principal) === key);
  }

  /** Ends all sessions without browser time, and of those with twice the memory or disk the newest. */
  async #endExcess(): Promise<void> {
    if (this.#options.elsewhere !== undefined) this.#checked = await this.usage();
    if (!this.#isBounded) return;
    await this.#keepSpent();
    for (const [key, principal] of this.#users()) {
      const quotas = await this.#quotasOf(principal);
      if (Object.keys(quotas).length === 0) continue;
      const used = await this.#measure(key);
      const isFarOver = (name: 'memory' | 'disk'): boolean =>
        amountOf(name, used) >= endedAt * (quotas[name] ?? Number.POSITIVE_INFINITY);
      const over = (['memory', 'disk'] as const).find(isFarOver);
      if (used.browserMs >= (quotas['browser-time'] ?? Number.POSITIVE_INFINITY))
        this.#end(this.#sessionsOf(key), 'browser-time');
      else if (over !== undefined) this.#end(this.#sessionsOf(key).slice(-1), over);
    }
  }

  #end(sessions: readonly MeasuredSession[], quota: QuotaName): void {
    for (const session of sessions) {
      this.#options.log.warn('session ended: its user is over a quota', {
        session: session.id.slice(0, 8),
        user: session.principal.user,
        quota,
      });
      session.close('operator-closed');
    }
  }
}

const nothingMeasured: Figures = {
  ...{ sessions: 0, processes: 0, browserMs: 0, memoryBytes: 0, keptBytes: 0, downloadBytes: 0, diskBytes: 0 },
};

const maxMeasured = 10_000;

/** Tools that open something new in a browser. */
const growing: ReadonlySet<string> = new Set(['new_page', 'install_extension']);

const downloadsOf = ({ browserLease }: MeasuredSession): number => browserLease?.usage?.downloadBytes ?? 0;

/** A browser of its own, also one that is being started. */
function usesProcess({ browserLease, state, lease, hasOwnProcess }: MeasuredSession): boolean {
  const isStarting = state === 'created' || state === 'tools-registered';
  return browserLease?.usage?.process !== undefined || (hasOwnProcess && lease === 'eager' && isStarting);
}

const quotaNames: readonly QuotaName[] = ['processes', 'browser-time', 'memory', 'downloads', 'disk'];

function amountOf(name: QuotaName, used: Figures): number {
  switch (name) {
    case 'processes':
      return used.processes;
    case 'browser-time':
      return used.browserMs;
    case 'memory':
      return used.memoryBytes;
    case 'downloads':
      return used.downloadBytes;
    case 'disk':
      return used.diskBytes;
  }
}

const sumOf = (a: Figures, b: Figures): Figures => ({
  sessions: a.sessions + b.sessions,
  processes: a.processes + b.processes,
  browserMs: a.browserMs + b.browserMs,
  memoryBytes: a.memoryBytes + b.memoryBytes,
  keptBytes: a.keptBytes + b.keptBytes,
  downloadBytes: a.downloadBytes + b.downloadBytes,
  diskBytes: a.diskBytes + b.diskBytes,
});

const units: Readonly<Record<string, number>> = {
  ...{ '': 1, b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 },
  ...{ ms: 1, s: 1e3, m: 6e4, h: 36e5 },
};

/** `memory=2gb`, … as the schema of the options checks them. */
export function parseQuotas(texts: readonly string[]): Quotas {
  return Object.fromEntries(
    texts.flatMap((text) => {
      const [, name = '', amount = '', unit = ''] = /^([a-z-]+)=(\d+)([a-z]*)$/.exec(text.toLowerCase()) ?? [];
      return quotaNames.some((known) => known === name) ? [[name, Number(amount) * (units[unit] ?? 1)]] : [];
    }),
  );
}

function quotaExceeded(name: QuotaName, used: number, limit: number): Refusal {
  const detail = `Your quota of ${name} is used up: ${shown(name, used)} of ${shown(name, limit)}. ${freed[name]}.`;
  return new Refusal('quota_exceeded', { detail, limit: `--user-quota ${name}=${limit}` });
}

function shown(name: QuotaName, amount: number): string {
  if (name === 'processes') return String(amount);
  if (name === 'browser-time') return `${Math.round(amount / 6e4)} min`;
  return `${(amount / 1024 ** 2).toFixed(1)} MB`;
}

/** Bytes of the files below a folder. Never rejects: files may go meanwhile. */
export async function folderBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  let bytes = 0;
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) bytes += await folderBytes(path);
    else
      bytes += await lstat(path).then(
        ({ size, blocks }) => Math.min(size, blocks * 512),
        () => 0,
      );
  }
  return bytes;
}

import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { messageOf, ToolError } from '../../errors/errors.js';
import { noop } from '../../async.js';
import { timeLimit } from '../../clock.js';
import { readVariables } from '../cdp/injectedFunctions.js';
import { withoutNumbers } from '../../text.js';
import { withCdpScope, type CdpScope } from '../cdp/cdpScope.js';
import type { SessionPage } from '../page/sessionPage.js';
import type { SessionBrowser } from '../pool/sessionBrowser.js';
import { positionIn } from './chromeJson.js';
import { ExtensionStorage, type StorageArea } from './chromeStorage.js';
import { EffectObserver, fireExtensionEvent } from './extensionEvents.js';
import { listFolder, localPath, readBeginning } from './extensionFiles.js';
import { sendMessage } from './extensionMessage.js';
import type { Extension } from './installedExtensions.js';
import { readManifest } from './manifest.js';
import { wakeWorker, WorkerMonitor } from './serviceWorkers.js';
import { callWithVariables } from './serviceWorkers.js';

/** A message to the worker, or an event. */
export interface SleepStep {
  readonly message?: unknown;
  readonly event?: string | undefined;
  readonly subject?: string | undefined;
}

/** What the worker's sleep changes after one step. */
export interface SleepDifference {
  /** From 1. */
  readonly step: number;
  readonly what: 'answer' | 'storage' | 'error' | 'log' | 'variable';
  readonly name: string;
  readonly awake: string;
  readonly asleep: string;
}

type Facts = ReadonlyMap<string, Omit<SleepDifference, 'step'>>;

export interface SleepCheck {
  readonly browser: SessionBrowser;
  readonly steps: readonly SleepStep[];
  /** Of events about a tab. */
  readonly page: () => SessionPage;
}

const replyTimeoutMs = 3_000;
/** How long a step has to take effect. */
const settleMs = 250;
const areas: readonly StorageArea[] = ['local', 'sync', 'session'];
const maxValueChars = 150_000;
const nothing = 'nothing';

/** How the worker is before the steps: as it is now, if it runs, or started anew; the last sleeps before each step too. */
const runs = ['present', 'new', 'new', 'asleep'] as const;
type RunKind = (typeof runs)[number];

/**
 * Does the steps once with the worker as it is, and three times with one that has just started: twice with one that stays
 * awake, once with one that is put to sleep before each step, as idling does. Each time with the storage as it was, which
 * is left so. What differs between the two that stay awake is left out, such as the time. The first shows what was lost
 * at the first sleep, such as what a worker keeps from its installation.
 */
export async function compareSleep(
  scope: CdpScope,
  extension: Extension,
  check: SleepCheck,
): Promise<SleepDifference[]> {
  const storage = await ExtensionStorage.open(scope, extension);
  const before = await saveStorage(storage, extension);
  const isRunning = (await WorkerMonitor.open(scope)).targetId(extension.id) !== undefined;
  const done: Facts[][] = [];
  try {
    for (const kind of runs) {
      if (kind === 'present' && !isRunning) continue;
      await restoreStorage(storage, before);
      done.push(await runSteps(scope, extension, { ...check, storage, kind }));
    }
  } finally {
    await restoreAtLast(scope, extension, storage, before);
  }
  const [asleep = [], second = [], first = [], present = first] = done.toReversed();
  return check.steps.flatMap((_step, index) => {
    const of = (run: Facts[]): Facts => run[index] ?? new Map();
    const facts = { present: of(present), first: of(first), second: of(second), asleep: of(asleep) };
    return differences(facts).map((difference) => ({ step: index + 1, ...difference }));
  });
}

interface StepFacts {
  readonly present: Facts;
  readonly first: Facts;
  readonly second: Facts;
  readonly asleep: Facts;
}

function differences({ present, first, second, asleep }: StepFacts): Omit<SleepDifference, 'step'>[] {
  const keys = new Set([...present.keys(), ...first.keys(), ...asleep.keys()]);
  return [...keys].flatMap((key) => {
    const valueIn = (facts: Facts): string => facts.get(key)?.awake ?? nothing;
    const [before, awake] = [valueIn(present), valueIn(first)];
    const [again, other] = [valueIn(second), valueIn(asleep)];
    const known = first.get(key) ?? asleep.get(key) ?? present.get(key);
    if (known === undefined) return [];
    const isSteady = awake === again && awake === other;
    // Of what is the same after each new start, the worker as it was may have known more.
    if (isSteady) return before === awake ? [] : [{ ...known, awake: before, asleep: other }];
    // What differs in each run, as times and ids do, is compared without its numbers.
    const shape = awake === again ? (text: string): string => text : withoutNumbers;
    const isSame = shape(awake) !== shape(again) || shape(awake) === shape(other);
    return isSame ? [] : [{ ...known, awake, asleep: other }];
  });
}

type Saved = ReadonlyMap<StorageArea, Readonly<Record<string, unknown>>>;

async function saveStorage(storage: ExtensionStorage, { name }: Extension): Promise<Saved> {
  const saved = new Map<StorageArea, Record<string, unknown>>();
  for (const area of areas) {
    const reading = await storage.read(area, { maxLength: maxValueChars }).catch(noStorage);
    if (reading === undefined) continue;
    if (reading.omitted > 0 || reading.entries.some(({ value, length }) => value.length < length))
      throw new ToolError(
        `The storage area ${area} of ${name} is too large to be kept and restored. Empty it with set_extension_storage.`,
      );
    saved.set(area, Object.fromEntries(reading.entries.map(({ key, value }) => [key, JSON.parse(value) as unknown])));
  }
  return saved;
}

/** An extension without the permission has none. */
function noStorage(error: unknown): undefined {
  if (!(error instanceof ToolError)) throw error;
}

async function restoreStorage(storage: ExtensionStorage, saved: Saved): Promise<void> {
  for (const [area, set] of saved) await storage.write(area, { clear: true, remove: [], set });
}

const restoreTimeoutMs = 5_000;

/** Also after a cancelled call. */
async function restoreAtLast(scope: CdpScope, extension: Extension, storage: ExtensionStorage, saved: Saved) {
  if (!scope.signal.aborted) {
    await restoreStorage(storage, saved).catch(() => scope.signal.throwIfAborted());
    return;
  }
  const restoring = withCdpScope(scope.owner, timeLimit(restoreTimeoutMs), async (own) =>
    restoreStorage(await ExtensionStorage.open(own, extension), saved),
  );
  await restoring.catch(noop);
}

interface Run extends SleepCheck {
  readonly storage: ExtensionStorage;
  readonly kind: RunKind;
}

async function runSteps(scope: CdpScope, extension: Extension, run: Run): Promise<Facts[]> {
  const watch = await WorkerMonitor.open(scope);
  if (run.kind !== 'present') {
    await watch.stop(extension.id);
    await wakeWorker(scope, extension);
    await delay(settleMs, undefined, { signal: scope.signal });
  }
  const facts: Facts[] = [];
  for (const step of run.steps) {
    if (run.kind === 'asleep') await watch.stop(extension.id);
    // A session that outlives its worker would pause the next one at its start.
    facts.push(await withCdpScope(run.browser.browser, scope.signal, (own) => runStep(own, extension, step, run)));
  }
  return facts;
}

async function runStep(scope: CdpScope, extension: Extension, step: SleepStep, run: Run): Promise<Facts> {
  const observer = await EffectObserver.begin(scope, run.browser, extension.id);
  const answer = await perform(scope, extension, step, run);
  await delay(settleMs, undefined, { signal: scope.signal });
  const { errors, logs, pages } = await observer.read();
  // Each run finds the tabs of the one before.
  await Promise.all(pages.map((page) => run.browser.closePage(page.id).catch(noop)));
  const variables = await variablesOf(scope, extension);
  const facts = [
    { what: 'answer' as const, name: '', value: answer },
    ...(logs.length === 0 ? [] : [{ what: 'log' as const, name: '', value: logs.map(({ text }) => text).join(', ') }]),
    ...errors.map(({ message }) => ({ what: 'error' as const, name: message, value: message })),
    ...(await storedIn(run.storage)),
    ...Object.entries(variables).map(([name, value]) => ({ what: 'variable' as const, name, value })),
  ];
  return new Map(
    facts.map(({ what, name, value }) => [`${what} ${name}`, { what, name, awake: value, asleep: nothing }]),
  );
}

async function perform(
  scope: CdpScope,
  extension: Extension,
  step: SleepStep,
  { page, browser }: Run,
): Promise<string> {
  const { event, subject, message } = step;
  try {
    if (event !== undefined) {
      const name = event.replace(/^chrome\./, '');
      const { suggestions } = await fireExtensionEvent(scope, extension, {
        name,
        subject,
        args: undefined,
        page: page(),
        menus: browser.activity.menus.of(extension.id),
      });
      return suggestions === undefined ? 'fired' : JSON.stringify(suggestions);
    }
    const request = { extension, message, from: undefined, page, toPage: undefined, timeoutMs: replyTimeoutMs };
    const sent = await sendMessage(scope, request);
    return 'error' in sent ? sent.error : (sent.reply ?? 'no answer');
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    return messageOf(error);
  }
}

async function storedIn(storage: ExtensionStorage): Promise<{ what: 'storage'; name: string; value: string }[]> {
  const found: { what: 'storage'; name: string; value: string }[] = [];
  for (const area of areas) {
    const reading = await storage.read(area, { maxLength: maxValueChars }).catch(noStorage);
    for (const { key, value } of reading?.entries ?? []) found.push({ what: 'storage', name: `${area}.${key}`, value });
  }
  return found;
}

const variablesSchema = z.record(z.string(), z.string()).catch({});

/** The variables of a classic worker by their values. Those of a module cannot be read. */
async function variablesOf(scope: CdpScope, { id }: Extension): Promise<Readonly<Record<string, string>>> {
  const targetId = (await WorkerMonitor.open(scope)).targetId(id);
  if (targetId === undefined) return {};
  const worker = await scope.attach(targetId);
  return variablesSchema.parse(await scope.untilAborted(callWithVariables(worker, readVariables)));
}

const maxScripts = 500;
const maxScriptBytes = 1024 ** 2;

/** Where the scripts of an extension declare variables, as `worker.js:3`; only those that are found. */
export async function declarationsOf(
  { path }: Extension,
  names: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const places = new Map<string, string>();
  if (names.length === 0) return places;
  const { paths } = await listFolder(path, maxScripts).catch(() => ({ paths: new Set<string>() }));
  const worker = localPath((await readManifest({ path }))?.background?.service_worker ?? '');
  const others = [...paths].filter((each) => /\.m?js$/.test(each) && each !== worker);
  for (const file of [worker, ...others].filter((each) => paths.has(each))) {
    const text = (await readBeginning(join(path, file), maxScriptBytes).catch(() => '')).toString();
    for (const name of names) {
      const index = places.has(name) ? -1 : declarationIn(text, name);
      if (index !== -1) places.set(name, `${file}:${positionIn(text, index).line}`);
    }
  }
  return places;
}

function declarationIn(text: string, name: string): number {
  const starts = ['let', 'var', 'const'].flatMap((word) => {
    const index = text.indexOf(`${word} ${name}`);
    const next = text[index + word.length + 1 + name.length] ?? '';
    return index === -1 || /[\w$]/.test(next) ? [] : [index];
  });
  return starts.length === 0 ? -1 : Math.min(...starts);
}

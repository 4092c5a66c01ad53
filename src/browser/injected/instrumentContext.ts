import type { ChromeApi } from './chromeApi.js';
import type { WorkerActivity } from './extensionContract.js';
import { HeardEvents } from './listeners.js';
import { Reporter } from './reporter.js';
import { watchCalls, watchMenus, watchPrompts, watchRequests } from './watchCalls.js';
import { watchMessages, type NamedPort } from './watchMessages.js';

/** What an instrumented context keeps on its global object. */
interface Recorder {
  setTracing(isTracing: boolean): void;
  setRefusing(isRefusing: boolean): void;
  flush(): void;
  take(): string[];
  activity(): WorkerActivity;
}

const recorderKey = Symbol.for('greenroom.activity');

/**
 * In a context of an extension, before its first statement: wraps the messaging functions, once, so that they report
 * through the binding; and, when tracing, every other `chrome.*` function. What the extension sees stays as it was: same
 * replies, and rejections as unhandled as before. The extensions in `refusing` are refused the permissions that they ask
 * for. Returns false, as the condition of a breakpoint that never stops.
 */
export function instrumentContext(bindingName: string, isTracing: boolean, refusing: readonly string[] = []): false {
  const api = globalThis.chrome;
  if (api?.runtime?.id === undefined) return false;
  const known = findRecorder();
  if (known !== undefined) {
    known.setTracing(isTracing);
    known.setRefusing(refusing.includes(api.runtime.id));
    return false;
  }
  let isRefusing = refusing.includes(api.runtime.id);
  const reporter = new Reporter(bindingName);
  const heard = new HeardEvents();
  const ports = new Set<NamedPort>();
  const recorder: Recorder = {
    setTracing: tracingSwitch(api, reporter),
    setRefusing: (isOn) => void (isRefusing = isOn),
    flush: () => reporter.flush(),
    take: () => reporter.take(),
    activity: () => {
      const startedAt = performance.timeOrigin;
      return { startedAt, ...heard.read(), ports: [...ports].map(({ name }) => name) };
    },
  };
  Object.defineProperty(globalThis, recorderKey, { value: recorder });
  // Only a worker is woken.
  if (!('document' in globalThis)) heard.watch(api);
  watchMessages(api, reporter, ports);
  watchMenus(api, reporter);
  watchPrompts(api, reporter, () => isRefusing);
  watchRequests(reporter);
  recorder.setTracing(isTracing);
  return false;
}

/** Sends the reports made before the binding existed. */
export function flushReports(): void {
  findRecorder()?.flush();
}

/** Takes the reports that no binding has received: those of a worker to which no session is attached. */
export function takeReports(): readonly string[] {
  return findRecorder()?.take() ?? [];
}

/** The activity of this worker since its start. Without received events if the worker is not instrumented. */
export function readWorkerActivity(): WorkerActivity {
  return findRecorder()?.activity() ?? { startedAt: performance.timeOrigin, events: [], ports: [] };
}

/** Wraps the functions when tracing is switched on for the first time. */
function tracingSwitch(api: ChromeApi, reporter: Reporter): (isTracing: boolean) => void {
  let isOn = false;
  let isWrapped = false;
  return (isTracing) => {
    isOn = isTracing;
    if (!isTracing || isWrapped) return;
    isWrapped = true;
    watchCalls(reporter, api, () => isOn);
  };
}

function findRecorder(): Recorder | undefined {
  const recorder: unknown = Reflect.get(globalThis, recorderKey);
  return isRecorder(recorder) ? recorder : undefined;
}

const isRecorder = (value: unknown): value is Recorder =>
  typeof value === 'object' && value !== null && 'setTracing' in value;

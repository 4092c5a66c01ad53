import type { InspectionEvent } from 'xstate';
import type { CreationWindow } from '../../machines/events.js';
import type { Clock } from '../clock.js';
import type { EpisodeStore } from '../cluster/serverStore.js';
import type { Config } from '../config.js';
import type { Log } from '../log.js';
import { methods } from '../mcp/methods.js';
import { createMetrics, type Metrics } from '../metrics/metrics.js';
import type { Readings } from '../metrics/readings.js';
import { packageInfo } from '../packageInfo.js';
import { startAlarm } from '../session/alertActor.js';
import { traceConnects } from '../session/connectTrace.js';
import { followCreations } from '../session/creations.js';
import { logObservations } from '../session/observationLog.js';
import { createObserver, tellAll, type Fold } from '../session/observer.js';
import { createWebhook } from './webhook.js';

export interface ObservabilityOptions extends Omit<Readings, 'alert'> {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  /** Names of every tool. */
  readonly tools: readonly string[];
  /** Whether a session works in its user's own browser. */
  hasOwnBrowser(session: string): boolean;
  /** Where many nodes count creations together. */
  readonly episodes?: EpisodeStore | undefined;
  /** Sees every observation, after the log and the metrics. */
  readonly observe?: Fold | undefined;
}

/** What is known of a server while it runs, and the alarm over it. */
export interface Observability {
  /** The one stream of observations. */
  readonly observe: Fold;
  /** For every actor of the server: turns what XState tells into observations. */
  inspect(event: InspectionEvent): void;
  readonly metrics: Metrics;
  alerts(): { readonly creationFailureRate: string };
  /** Stops the alarm and what its webhook has under way. */
  close(): Promise<void>;
}

/** Puts log, metrics, traces and the alarm on one stream of observations. The orchestrator closes it, last of all. */
export function startObservability(options: ObservabilityOptions): Observability {
  const { config, clock, log, tools, episodes } = options;
  const folds: Fold[] = [];
  const observe = tellAll(folds);
  const inspect = createObserver(clock, [observe]);
  const state = (): string => alarm.state();
  const metrics = createMetrics({
    ...options,
    version: packageInfo.version,
    tools,
    methods: Object.keys(methods),
    alert: state,
  });
  folds.push(logObservations(log), metrics.fold, traceConnects());
  if (options.observe) folds.push(options.observe);
  folds.push(followCreations({ ...options, tell: observe }));
  const bell = createBell(config, log, episodes);
  const alarm = startAlarm({
    failureRate: config.alertFailureRate,
    minCreations: config.alertMinCreations,
    windowMs: config.alertWindow,
    clock,
    store: episodes,
    inspect,
    ring: bell.ring,
    clear: bell.clear,
  });
  // The last to hear, so that the log tells of the failure before it tells of the alarm.
  folds.push(alarm.fold);
  return {
    observe,
    inspect,
    metrics,
    alerts: () => ({ creationFailureRate: state() }),
    close: () => {
      alarm.close();
      return bell.close();
    },
  };
}

/** So long after an episode no other node can take it for a new one: those that hear of its end last are late by less. */
const quietShare = 1 / 6;

/**
 * Tells the webhook, if there is one; the log and the metrics hear of the alarm by themselves. Of many nodes one tells it: the
 * first that notices, or each that cannot ask the others.
 */
function createBell(
  { alertWebhook: url, alertWebhookSecret: secret, alertWindow }: Config,
  log: Log,
  episodes: EpisodeStore | undefined,
) {
  if (url === undefined) return { ring: () => undefined, clear: () => undefined, close: () => Promise.resolve() };
  let isWarned = false;
  const warn = (error: string): void => {
    if (!isWarned) log.warn('the webhook of the alarm cannot be told', { error });
    isWarned = true;
  };
  const webhook = createWebhook({ url, secret, failed: warn });
  const about = (window: CreationWindow) => ({
    alert: 'creationFailureRate',
    ...window,
    windowSeconds: alertWindow / 1_000,
    version: packageInfo.version,
  });
  const tell = (type: string, window: CreationWindow, isFirst: Promise<boolean> | undefined): void => {
    const send = (): void => webhook.send(type, about(window));
    if (isFirst === undefined) send();
    else isFirst.then((first) => first && send(), send);
  };
  return {
    ring: (window: CreationWindow) => {
      isWarned = false;
      tell('alert.firing', window, episodes?.begin(alertWindow));
    },
    clear: (window: CreationWindow) => tell('alert.cleared', window, episodes?.end(alertWindow * quietShare)),
    close: () => webhook.close(),
  };
}

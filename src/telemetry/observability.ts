import type { InspectionEvent } from 'xstate';
import type { CreationWindow } from '../../machines/events.js';
import type { Clock } from '../clock.js';
import type { AlertEpisodeStore } from '../cluster/clusterStore.js';
import type { Config } from '../config/config.js';
import type { Log } from '../log.js';
import { methods } from '../mcp/methods.js';
import { createMetrics, type Metrics } from './metrics.js';
import type { GaugeSources } from './gauges.js';
import { packageInfo } from '../packageInfo.js';
import { startAlert } from './alert.js';
import { traceSessionSetup } from './sessionTrace.js';
import { trackCreations } from './creations.js';
import { logObservations } from './observationLog.js';
import { createObserver, fanOut, type ObservationHandler } from './observer.js';
import { createWebhook } from './webhook.js';

export interface ObservabilityDeps extends Omit<GaugeSources, 'alert'> {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  /** Names of every tool. */
  readonly tools: readonly string[];
  /** Whether a session works in its user's own browser. */
  hasOwnBrowser(session: string): boolean;
  /** Where many nodes count creations together. */
  readonly alertEpisodes?: AlertEpisodeStore | undefined;
  /** Sees every observation, after the log and the metrics. */
  readonly observe?: ObservationHandler | undefined;
}

/** What is known of a server while it runs, and the alarm over it. */
export interface Observability {
  /** The one stream of observations. */
  readonly observe: ObservationHandler;
  /** For every actor of the server: turns what XState tells into observations. */
  inspect(event: InspectionEvent): void;
  readonly metrics: Metrics;
  alerts(): { readonly creationFailureRate: string };
  /** Stops the alarm and what its webhook has under way. */
  close(): Promise<void>;
}

/** Puts log, metrics, traces and the alarm on one stream of observations. The orchestrator closes it, last of all. */
export function startObservability(options: ObservabilityDeps): Observability {
  const { config, clock, log, tools, alertEpisodes } = options;
  const handlers: ObservationHandler[] = [];
  const observe = fanOut(handlers);
  const inspect = createObserver(clock, [observe]);
  const state = (): string => alert.state();
  const metrics = createMetrics({
    ...options,
    version: packageInfo.version,
    tools,
    methods: Object.keys(methods),
    alert: state,
  });
  handlers.push(logObservations(log), metrics.onObservation, traceSessionSetup());
  if (options.observe) handlers.push(options.observe);
  handlers.push(trackCreations({ ...options, publish: observe }));
  const notifier = createAlertNotifier(config, log, alertEpisodes);
  const alert = startAlert({
    failureRate: config.alertFailureRate,
    minCreations: config.alertMinCreations,
    windowMs: config.alertWindow,
    clock,
    store: alertEpisodes,
    inspect,
    onFiring: notifier.ring,
    onCleared: notifier.clear,
  });
  // The last to hear, so that the log tells of the failure before it tells of the alarm.
  handlers.push(alert.onObservation);
  return {
    observe,
    inspect,
    metrics,
    alerts: () => ({ creationFailureRate: state() }),
    close: () => {
      alert.close();
      return notifier.close();
    },
  };
}

/** So long after an episode no other node can take it for a new one: those that hear of its end last are late by less. */
const quietFraction = 1 / 6;

/**
 * Tells the webhook, if there is one; the log and the metrics hear of the alarm by themselves. Of many nodes one tells it: the
 * first that notices, or each that cannot ask the others.
 */
function createAlertNotifier(
  { alertWebhook: url, alertWebhookSecret: secret, alertWindow }: Config,
  log: Log,
  alertEpisodes: AlertEpisodeStore | undefined,
) {
  if (url === undefined) return { ring: () => undefined, clear: () => undefined, close: () => Promise.resolve() };
  let hasWarned = false;
  const warn = (error: string): void => {
    if (!hasWarned) log.warn('the webhook of the alarm cannot be told', { error });
    hasWarned = true;
  };
  const webhook = createWebhook({ url, secret, onFailedAttempt: warn });
  const payloadOf = (window: CreationWindow) => ({
    alert: 'creationFailureRate',
    ...window,
    windowSeconds: alertWindow / 1_000,
    version: packageInfo.version,
  });
  const sendOnce = (type: string, window: CreationWindow, isFirstNode: Promise<boolean> | undefined): void => {
    const send = (): void => webhook.send(type, payloadOf(window));
    if (isFirstNode === undefined) send();
    else isFirstNode.then((first) => first && send(), send);
  };
  return {
    ring: (window: CreationWindow) => {
      hasWarned = false;
      sendOnce('alert.firing', window, alertEpisodes?.tryBegin(alertWindow));
    },
    clear: (window: CreationWindow) =>
      sendOnce('alert.cleared', window, alertEpisodes?.tryEnd(alertWindow * quietFraction)),
    close: () => webhook.close(),
  };
}

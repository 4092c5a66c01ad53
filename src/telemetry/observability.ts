import type { InspectionEvent } from 'xstate';
import type { CreationWindow } from '../../machines/events.js';
import type { Clock } from '../clock.js';
import type { AlertEpisodeStore } from '../cluster/clusterStore.js';
import type { Config } from '../config/config.js';
import type { Log } from '../log.js';
import { methods } from '../mcp/methods.js';
import { statelessMethodNames } from '../mcp/statelessMethods.js';
import { createMetrics, type Metrics } from './metrics.js';
import type { GaugeSources } from './gauges.js';
import { packageInfo } from '../packageInfo.js';
import { startAlert } from './alert.js';
import { traceSessionSetup } from './sessionTrace.js';
import { trackCreations } from './creations.js';
import { logObservations, type DescribeSession } from './observationLog.js';
import { createObserver, fanOut, type ObservationHandler } from './observer.js';
import { createWebhook } from './webhook.js';

export interface ObservabilityDeps extends Omit<GaugeSources, 'alert'> {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  /** Names of every tool. */
  readonly tools: readonly string[];
  readonly describeSession: DescribeSession;
  /** Whether a session uses its user's own browser. */
  hasOwnBrowser(session: string): boolean;
  /** Shared counts of all nodes; absent with one node. */
  readonly alertEpisodes?: AlertEpisodeStore | undefined;
  /** Called with every observation, after the log and the metrics. */
  readonly observe?: ObservationHandler | undefined;
}

/** Log, metrics, traces and alert of one server. */
export interface Observability {
  /** The one stream of observations. */
  readonly observe: ObservationHandler;
  /** The XState inspector of every actor: turns inspection events into observations. */
  inspect(event: InspectionEvent): void;
  readonly metrics: Metrics;
  alerts(): { readonly creationFailureRate: string };
  /** Stops the alert and the webhook delivery in progress. */
  close(): Promise<void>;
}

/**
 * Connects log, metrics, traces and alert to one stream of observations. The orchestrator closes it last.
 *
 *     XState inspection -> observer -> log, metrics, traces, `observe`, creations, alert
 */
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
    methods: [...Object.keys(methods), ...statelessMethodNames],
    alert: state,
  });
  handlers.push(logObservations(log, options.describeSession), metrics.onObservation, traceSessionSetup());
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
    onFiring: notifier.onFiring,
    onCleared: notifier.onCleared,
  });
  // Last, so that the log has the failure before the alert.
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

/** Of the window: for this time after an episode no node can begin a new one, since the others notice its end later. */
const quietFraction = 1 / 6;

/**
 * Notifies the webhook, if there is one; log and metrics observe the alert themselves. Of many nodes one notifies: the first
 * that notices, or every node that cannot reach the store.
 */
function createAlertNotifier(
  { alertWebhook: url, alertWebhookSecret: secret, alertWindow }: Config,
  log: Log,
  alertEpisodes: AlertEpisodeStore | undefined,
) {
  if (url === undefined)
    return { onFiring: () => undefined, onCleared: () => undefined, close: () => Promise.resolve() };
  let hasWarned = false;
  const warn = (error: string): void => {
    if (!hasWarned) log.warn('alert webhook not reachable', { error });
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
    onFiring: (window: CreationWindow) => {
      hasWarned = false;
      sendOnce('alert.firing', window, alertEpisodes?.tryBegin(alertWindow));
    },
    onCleared: (window: CreationWindow) =>
      sendOnce('alert.cleared', window, alertEpisodes?.tryEnd(alertWindow * quietFraction)),
    close: () => webhook.close(),
  };
}

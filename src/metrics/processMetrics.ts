import { collectDefaultMetrics, Registry } from 'prom-client';

/** Gauges whose names end in `_total`, which Prometheus keeps for counters. */
const misnamedGauges = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

let registry: Registry | undefined;

/**
 * CPU, memory, event loop and garbage collection of this process. Facts of the process and not of one server: gathered
 * once, from the first scrape on, however many servers it runs, since the client library never stops what it starts to
 * watch them with.
 */
export function processMetrics(): Registry {
  if (registry !== undefined) return registry;
  registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of misnamedGauges) registry.removeSingleMetric(name);
  return registry;
}

import { z } from 'zod';
import { findExtension } from '../../browser/extensions/installedExtensions.js';
import { WorkerMonitor } from '../../browser/extensions/serviceWorkers.js';
import { workerStatus, type WorkerStatus } from '../../browser/extensions/workerStatus.js';
import { withCdpScope } from '../../browser/cdp/cdpScope.js';
import { defineTool } from '../defineTool.js';
import { oneLine } from '../pagination.js';
import { extensionId, workerState } from '../extensionFields.js';

export const stopServiceWorkerTool = defineTool({
  name: 'stop_extension_service_worker',
  group: 'extension',
  needs: 'extension',
  description: 'Put a service worker to sleep, as idling does: what it kept only in variables is lost',
  input: z.strictObject({ extensionId }),
  output: z.object({ extensionId, before: workerState, state: workerState }),
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler({ extensionId: id }, { browser, signal }) {
    const { name, before, state } = await withCdpScope(browser.browser, signal, async (scope) => {
      const extension = await findExtension(scope, id);
      const watch = await WorkerMonitor.open(scope);
      const was = watch.state(id);
      await watch.stop(id);
      return { name: extension.name, before: was, state: watch.state(id) };
    });
    const text =
      before === 'none'
        ? `"${name}" has no service worker.`
        : `The service worker of "${name}" ${before === 'stopped' ? 'was stopped already' : 'is stopped'}. The next event, or activate_extension_service_worker, starts it.`;
    return { text, structured: { extensionId: id, before, state } };
  },
});

const workerProblem = z.object({ message: z.string(), source: z.string().optional(), occurrences: z.int().optional() });

export const serviceWorkerStatusTool = defineTool({
  name: 'get_extension_service_worker_status',
  group: 'extension',
  needs: 'extension',
  description: 'Whether a service worker runs, since when, and its errors; neither wakes it nor keeps it awake',
  input: z.strictObject({ extensionId }),
  output: z.object({
    extensionId,
    version: z.string(),
    state: workerState,
    script: z.string().optional(),
    phase: z.string().optional(),
    startedAt: z.string().optional(),
    errors: z.array(workerProblem),
  }),
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id }, { browser, signal }) {
    const { extension, status } = await withCdpScope(browser.browser, signal, async (scope) => {
      const found = await findExtension(scope, id);
      return { extension: found, status: await workerStatus(scope, found) };
    });
    const { state, script, phase, startedAt, errors } = status;
    return {
      text: describeWorker(`"${extension.name}" ${extension.version}`, status),
      structured: {
        ...{ extensionId: id, version: extension.version, state },
        ...(script !== undefined && { script }),
        ...(phase !== undefined && { phase }),
        ...(startedAt && { startedAt: startedAt.toISOString() }),
        errors: errors.map(({ message, source, occurrences }) => ({
          message,
          ...(source !== undefined && source !== '' && { source }),
          ...(occurrences !== undefined && { occurrences }),
        })),
      },
    };
  },
});

function describeWorker(extension: string, { state, script, phase, startedAt, errors }: WorkerStatus): string {
  const since = startedAt === undefined ? '' : ` since ${startedAt.toISOString()}`;
  const worker =
    script === undefined ? 'no service worker is registered' : `${state}${since}, ${phase ?? ''}, ${script}`;
  const noted = errors.map(
    ({ message, occurrences = 1 }) =>
      `Error${occurrences > 1 ? ` (${occurrences} times)` : ''}: ${oneLine(message, 500)}`,
  );
  return [`${extension}: ${worker}`, ...noted].join('\n');
}

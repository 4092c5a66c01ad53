import { z } from 'zod';
import { runningContexts } from '../../browser/extensions/contexts.js';
import { listExtensions, readManifest, type Extension } from '../../browser/extensions/installedExtensions.js';
import { withCdpScope, type CdpScope } from '../../browser/cdp/cdpScope.js';
import { WorkerMonitor } from '../../browser/extensions/serviceWorkers.js';
import { defineTool } from '../defineTool.js';
import { count, extensionId, workerState } from '../extensionFields.js';

const extensionRow = z.object({
  id: extensionId,
  name: z.string(),
  version: z.string(),
  enabled: z.boolean(),
  path: z.string(),
  serviceWorker: workerState,
  /** Chrome dropped the worker that the manifest names, since it failed at its first start. */
  workerFailed: z.boolean(),
  contexts: z.number().int(),
});

type ExtensionRow = z.infer<typeof extensionRow>;

export const listExtensionsTool = defineTool({
  name: 'list_extensions',
  group: 'extension',
  needs: 'browser',
  description: 'List unpacked extensions with the state of their service worker',
  input: z.strictObject({}),
  output: z.object({ extensions: z.array(extensionRow) }),
  annotations: { readOnlyHint: true },
  async handler(_args, { browser, signal }) {
    const extensions = await withCdpScope(browser.browser, signal, extensionRows);
    const text =
      extensions.length === 0
        ? 'No extension is installed. Call install_extension with the folder of one.'
        : [`${count(extensions.length, 'extension')}:`, ...extensions.map(extensionLine)].join('\n');
    return { text, structured: { extensions } };
  },
});

async function extensionRows(scope: CdpScope): Promise<ExtensionRow[]> {
  const [extensions, watch] = await Promise.all([listExtensions(scope), WorkerMonitor.open(scope)]);
  const targets = await scope.targets();
  return Promise.all(
    extensions.map(async (extension) => ({
      ...extension,
      serviceWorker: watch.state(extension.id),
      workerFailed: extension.enabled && watch.state(extension.id) === 'none' && (await namesWorker(extension)),
      contexts: (await runningContexts(targets, extension)).length,
    })),
  );
}

async function namesWorker(extension: Extension): Promise<boolean> {
  return (await readManifest(extension))?.background?.service_worker !== undefined;
}

function extensionLine({ id, name, version, enabled, path, serviceWorker, workerFailed, contexts }: ExtensionRow): string {
  const state = enabled ? 'enabled' : 'disabled';
  const none = workerFailed
    ? 'its service worker failed to start (get_extension_runtime_errors says why)'
    : 'no service worker';
  const worker = serviceWorker === 'none' ? none : `service worker ${serviceWorker}`;
  return `${id} "${name}" ${version} ${state}, ${worker}, ${count(contexts, 'context')}, ${path}`;
}

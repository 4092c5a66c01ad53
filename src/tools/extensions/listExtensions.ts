import { z } from 'zod';
import { contextsAmong } from '../../browser/extensions/contexts.js';
import { listExtensions } from '../../browser/extensions/extensions.js';
import { withProtocol, type ProtocolScope } from '../../browser/protocol/protocolScope.js';
import { WorkerWatch } from '../../browser/extensions/serviceWorkers.js';
import { defineTool } from '../defineTool.js';
import { count, extensionId, workerState } from './shared.js';

const row = z.object({
  id: extensionId,
  name: z.string(),
  version: z.string(),
  enabled: z.boolean(),
  path: z.string(),
  serviceWorker: workerState,
  contexts: z.number().int(),
});

type Row = z.infer<typeof row>;

export const listExtensionsTool = defineTool({
  name: 'list_extensions',
  group: 'extension',
  needs: 'process',
  description: 'List unpacked extensions with the state of their service worker',
  input: z.strictObject({}),
  output: z.object({ extensions: z.array(row) }),
  annotations: { readOnlyHint: true },
  async handler(_args, { browser, signal }) {
    const extensions = await withProtocol(browser.browser, signal, rows);
    const text =
      extensions.length === 0
        ? 'No extension is installed. Call install_extension with the folder of one.'
        : [`${count(extensions.length, 'extension')}:`, ...extensions.map(line)].join('\n');
    return { text, structured: { extensions } };
  },
});

async function rows(scope: ProtocolScope): Promise<Row[]> {
  const [extensions, watch] = await Promise.all([listExtensions(scope), WorkerWatch.open(scope)]);
  const targets = await scope.targets();
  return Promise.all(
    extensions.map(async (extension) => ({
      ...extension,
      serviceWorker: watch.state(extension.id),
      contexts: (await contextsAmong(targets, extension)).length,
    })),
  );
}

function line({ id, name, version, enabled, path, serviceWorker, contexts }: Row): string {
  const state = enabled ? 'enabled' : 'disabled';
  const worker = serviceWorker === 'none' ? 'no service worker' : `service worker ${serviceWorker}`;
  return `${id} "${name}" ${version} ${state}, ${worker}, ${count(contexts, 'context')}, ${path}`;
}

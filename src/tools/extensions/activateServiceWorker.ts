import { z } from 'zod';
import { findExtension } from '../../browser/extensions/installedExtensions.js';
import { withCdpScope } from '../../browser/cdp/cdpScope.js';
import { wakeWorker } from '../../browser/extensions/serviceWorkers.js';
import { defineTool } from '../defineTool.js';
import { extensionId, workerState } from '../extensionFields.js';

export const activateServiceWorkerTool = defineTool({
  name: 'activate_extension_service_worker',
  group: 'extension',
  needs: 'extension',
  description: "Wake an extension's service worker; says what it throws as it starts",
  input: z.strictObject({ extensionId }),
  output: z.object({ extensionId, before: workerState, errors: z.array(z.string()) }),
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler({ extensionId: id }, { browser, signal }) {
    const { name, before, errors } = await withCdpScope(browser.browser, signal, async (scope) => {
      const extension = await findExtension(scope, id);
      return { name: extension.name, ...(await wakeWorker(scope, extension)) };
    });
    const state =
      before === 'running'
        ? `The service worker of "${name}" was running already.`
        : `The service worker of "${name}" runs now; before it was ${before === 'none' ? 'not registered' : before}.`;
    const text = [state, ...errors.map((error) => `While it started it threw: ${error}`)].join('\n');
    return { text, structured: { extensionId: id, before, errors: [...errors] } };
  },
});

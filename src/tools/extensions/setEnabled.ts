import { z } from 'zod';
import { findExtension } from '../../browser/extensions/installedExtensions.js';
import { setExtensionEnabled } from '../../browser/extensions/extensionInstall.js';
import { withCdpScope } from '../../browser/cdp/cdpScope.js';
import { defineTool } from '../defineTool.js';
import { extensionId } from '../extensionFields.js';

export const setExtensionEnabledTool = defineTool({
  name: 'set_extension_enabled',
  group: 'extension',
  needs: 'extension',
  description: 'Switch an extension on or off; its storage stays',
  input: z.strictObject({ extensionId, enabled: z.boolean() }),
  output: z.object({ extensionId, enabled: z.boolean(), before: z.boolean(), warnings: z.array(z.string()) }),
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler({ extensionId: id, enabled: wanted }, { browser, signal }) {
    const { before, after } = await withCdpScope(browser.browser, signal, async (scope) => {
      const extension = await findExtension(scope, id);
      const same = { extension, warnings: [] };
      return {
        before: extension.enabled,
        after: extension.enabled === wanted ? same : await setExtensionEnabled(scope, id, wanted),
      };
    });
    const { extension, warnings } = after;
    const { name, enabled } = extension;
    const state = enabled ? 'enabled' : 'disabled';
    const effects = enabled
      ? 'Pages that are open have no content script of it until they are reloaded.'
      : 'Its pages were closed and its service worker stopped.';
    const lines = before === enabled ? [`"${name}" was ${state} already.`] : [`"${name}" is ${state} now. ${effects}`];
    return {
      text: [...lines, ...warnings.map((warning) => `Warning: ${warning}`)].join('\n'),
      structured: { extensionId: id, enabled, before, warnings: [...warnings] },
    };
  },
});

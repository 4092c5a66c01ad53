import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { findExtension, listExtensions } from '../../browser/extensions/installedExtensions.js';
import { uninstallExtension } from '../../browser/extensions/uninstall.js';
import { withCdpScope } from '../../browser/cdp/cdpScope.js';
import { defineTool } from '../defineTool.js';
import { count, extensionId } from '../extensionFields.js';

export const uninstallExtensionTool = defineTool({
  name: 'uninstall_extension',
  group: 'extension',
  needs: 'extension',
  description: 'Remove an extension and its storage; its folder stays',
  input: z.strictObject({ extensionId }),
  output: z.object({ extensionId, name: z.string(), left: z.array(z.string()) }),
  annotations: { readOnlyHint: false, destructiveHint: true },
  async handler({ extensionId: id }, { browser, signal }) {
    const { extension, left } = await withCdpScope(browser.browser, signal, async (scope) => {
      const found = await findExtension(scope, id);
      await uninstallExtension(scope, found);
      return { extension: found, left: await listExtensions(scope) };
    });
    const { name, path } = extension;
    // What came as an archive has no other home than the session's folder.
    if (dirname(path) === (await browser.folder())) await rm(path, { recursive: true, force: true });
    const others = left.length === 0 ? 'None is left.' : `${count(left.length, 'extension')} left.`;
    return {
      text: `Uninstalled "${name}" with its storage. ${others}`,
      structured: { extensionId: id, name, left: left.map((other) => other.id) },
    };
  },
});

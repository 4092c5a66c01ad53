import { z } from 'zod';
import { installExtension } from '../../browser/extensions/install.js';
import { withProtocol } from '../../browser/protocol/protocolScope.js';
import { defineTool } from '../defineTool.js';
import { insideWorkspace } from '../workspace.js';
import { extensionId } from './shared.js';

export const installExtensionTool = defineTool({
  name: 'install_extension',
  group: 'extension',
  needs: 'process',
  description: 'Install an unpacked extension, or load it again after a change on the disk',
  input: z.strictObject({ path: z.string().min(1).describe("Folder with manifest.json, on the server's disk") }),
  output: z.object({ id: extensionId, name: z.string(), version: z.string(), warnings: z.array(z.string()) }),
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler({ path }, { browser, signal, workspace }) {
    const folder = await insideWorkspace(path, workspace);
    const { extension, warnings } = await withProtocol(browser.browser, signal, (scope) =>
      installExtension(scope, folder),
    );
    const { id, name, version } = extension;
    const lines = [`Installed "${name}" ${version} as ${id}.`, ...warnings.map((warning) => `Warning: ${warning}`)];
    return { text: lines.join('\n'), structured: { id, name, version, warnings: [...warnings] } };
  },
});

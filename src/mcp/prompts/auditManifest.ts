import { z } from 'zod';
import { definePrompt } from '../definePrompt.js';
import { installedExtensions, numberedList } from './shared.js';

export const auditManifestPrompt = definePrompt({
  name: 'audit_manifest',
  title: 'Audit a manifest',
  description: 'Check manifest, permissions and files of an extension before it is published',
  arguments: z.strictObject({ extensionId: z.string().describe('Id of an installed extension') }),
  tools: ['inspect_extension_manifest', 'get_extension_details', 'trace_extension_api_calls'],
  complete: { extensionId: installedExtensions },
  messages: ({ extensionId }) =>
    [
      `Audit the extension ${extensionId} as a careful reviewer of the Chrome Web Store would.`,
      numberedList([
        'inspect_extension_manifest: every finding, with its fix.',
        'get_extension_details: compare what was asked for with what was granted, and look for warnings of Chrome.',
        'For each permission and host, say what in the code needs it. trace_extension_api_calls while the extension is used shows what it really calls.',
      ]),
      'Answer with a table: what, where (file and line), how serious, and the exact change. Then the manifest as it should be.',
      'Leave out what you could not confirm.',
    ].join('\n'),
});

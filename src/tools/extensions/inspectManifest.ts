import { z } from 'zod';
import { readExtensionFiles } from '../../browser/extensions/extensionFiles.js';
import { ExtensionsPage, findExtension } from '../../browser/extensions/installedExtensions.js';
import type { Finding } from '../../browser/extensions/findings.js';
import { manifestFindings } from '../../browser/extensions/manifestAudit.js';
import { withCdpScope } from '../../browser/cdp/cdpScope.js';
import { truncateAnswer } from '../answers.js';
import { defineTool } from '../defineTool.js';
import { count, extensionId } from '../extensionFields.js';

const finding = z.object({
  severity: z.enum(['error', 'warning', 'info']),
  at: z.string(),
  problem: z.string(),
  fix: z.string(),
});

export const inspectManifestTool = defineTool({
  name: 'inspect_extension_manifest',
  group: 'extension',
  needs: 'extension',
  description: 'Audit manifest, files and code against MV3; each finding with its fix',
  input: z.strictObject({ extensionId }),
  output: z.object({ findings: z.array(finding), manifest: z.string() }),
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id }, { browser, signal }) {
    const { extension, warnings } = await withCdpScope(browser.browser, signal, async (scope) => {
      const found = await findExtension(scope, id);
      const { manifestErrors } = await (await ExtensionsPage.open(scope)).info(id);
      return { extension: found, warnings: manifestErrors };
    });
    const files = await readExtensionFiles(extension);
    const chromes = warnings.map(({ message, manifestKey }): Finding => {
      return {
        severity: 'warning',
        at: manifestKey || 'manifest.json',
        problem: `Chrome: ${message}`,
        fix: 'Mend or remove it.',
      };
    });
    const findings = [...chromes, ...(await manifestFindings(files, signal))];
    const manifest = JSON.stringify(files.manifest ?? null, undefined, 1);
    const heading =
      findings.length === 0
        ? `The manifest of "${extension.name}" has no problems.`
        : `${count(findings.length, 'finding')} in "${extension.name}" (${extension.path}):`;
    return {
      text: truncateAnswer([heading, ...findings.map(findingLine), '', manifest].join('\n'), 'read manifest.json itself'),
      structured: { findings, manifest: truncateAnswer(manifest, 'read manifest.json itself') },
    };
  },
});

function findingLine({ severity, at, problem, fix }: Finding): string {
  return `${severity} ${at}: ${problem} Fix: ${fix}`;
}

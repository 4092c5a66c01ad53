import { basename } from 'node:path';
import { z } from 'zod';
import { auditExtension } from '../browser/extensions/audit/auditExtension.js';
import { severities, type Audit, type Finding } from '../browser/extensions/audit/findings.js';
import { ExtensionsPage, findExtension } from '../browser/extensions/installedExtensions.js';
import { withCdpScope } from '../browser/cdp/cdpScope.js';
import { ToolError } from '../errors/errors.js';
import { truncateAnswer } from './answers.js';
import { defineTool, type BrowserToolContext } from './defineTool.js';
import { count, extensionFolder, extensionIdInput } from './extensionFields.js';
import { requireInnerLinks } from './workspace.js';

const finding = z.object({ severity: z.enum(severities), at: z.string(), problem: z.string(), fix: z.string() });

export const inspectManifestTool = defineTool({
  name: 'inspect_extension_manifest',
  title: 'Check manifest',
  group: 'extension',
  needs: 'browser',
  description: 'Check manifest, files and code of an extension against Manifest V3; each finding with line and fix',
  input: z.strictObject({
    extensionId: extensionIdInput.optional(),
    path: z.string().min(1).optional().describe('A folder instead'),
  }),
  output: z.object({ findings: z.array(finding), manifest: z.string() }),
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id, path }, context) {
    if ((id === undefined) === (path === undefined)) throw new ToolError('Pass either extensionId or path.');
    const { extension, warnings } =
      id === undefined ? await folderAt(path ?? '', context) : await installed(id, context);
    const audit = await auditExtension(extension, context.signal);
    const findings = [...warnings.filter(({ at }) => !isTold(at, audit)), ...audit.findings];
    findings.sort((a, b) => severities.indexOf(a.severity) - severities.indexOf(b.severity));
    const manifest = JSON.stringify(audit.manifest, undefined, 1);
    const heading =
      findings.length === 0
        ? `The audit of "${extension.name}" found nothing.`
        : `${count(findings.length, 'finding')} in "${extension.name}" (${extension.path}):`;
    const more = audit.more > 0 ? [`${audit.more} more are not shown.`] : [];
    return {
      text: truncateAnswer(
        [heading, ...findings.map(findingLine), ...more, '', manifest].join('\n'),
        'read manifest.json itself',
      ),
      structured: { findings, manifest: truncateAnswer(manifest, 'read manifest.json itself') },
    };
  },
});

interface Subject {
  readonly extension: { readonly name: string; readonly path: string };
  /** The warnings of Chrome when it loaded the extension. */
  readonly warnings: readonly Finding[];
}

async function folderAt(path: string, { workspace }: BrowserToolContext): Promise<Subject> {
  const folder = await extensionFolder(path, workspace);
  await requireInnerLinks(folder, workspace);
  return { extension: { name: basename(folder), path: folder }, warnings: [] };
}

function installed(id: string, { browser, signal }: BrowserToolContext): Promise<Subject> {
  return withCdpScope(browser.browser, signal, async (scope) => {
    const extension = await findExtension(scope, id);
    const { manifestErrors } = await (await ExtensionsPage.open(scope)).info(id);
    return {
      extension,
      warnings: manifestErrors.map(({ message, manifestKey }) => ({
        severity: /^Service worker registration failed/.test(message) ? 'breaks' : 'advice',
        at: `manifest.json ${manifestKey ?? ''}`.trim(),
        problem: `Chrome: ${message}`,
        fix: 'Mend or remove it.',
      })),
    };
  });
}

/** Whether the audit speaks of the same key, with line and fix. */
function isTold(at: string, { findings }: Audit): boolean {
  const key = at.slice('manifest.json'.length).trim();
  return key !== '' && findings.some((other) => other.at.startsWith('manifest.json:') && other.at.includes(` ${key}`));
}

export function findingLine({ severity, at, problem, fix }: Finding): string {
  return `${severity} ${at}: ${problem} Fix: ${fix}`;
}

import { basename } from 'node:path';
import { z } from 'zod';
import { auditExtension } from '../browser/extensions/audit/auditExtension.js';
import { severities, type Audit, type Finding } from '../browser/extensions/audit/findings.js';
import {
  ExtensionsPage,
  findExtension,
  limitsOf,
  type Extension,
  type ExtensionInfo,
} from '../browser/extensions/installedExtensions.js';
import { namedPages } from '../browser/extensions/liveContexts.js';
import { readManifest } from '../browser/extensions/manifest.js';
import { mergedErrors, WorkerMonitor, type WorkerState } from '../browser/extensions/serviceWorkers.js';
import { withCdpScope, type CdpScope } from '../browser/cdp/cdpScope.js';
import { ToolError } from '../errors/errors.js';
import { truncateAnswer } from './answers.js';
import { defineTool, type BrowserToolContext } from './defineTool.js';
import { count, extensionFolder, extensionId, extensionIdInput, workerState } from './extensionFields.js';
import { oneLine } from './pagination.js';
import { requireInnerLinks } from './workspace.js';

const detailsOutput = z.object({
  ...{ id: extensionId, name: z.string(), version: z.string(), description: z.string() },
  ...{ path: z.string(), location: z.string() },
  enabled: z.boolean(),
  disabledBecause: z.array(z.string()),
  /** As Chrome shows them to users. */
  permissions: z.array(z.string()),
  /** As the manifest names them; the optional ones end with a question mark. */
  apis: z.array(z.string()),
  limits: z.array(z.string()),
  /** False: the id is derived from the folder's path. */
  idFromKey: z.boolean(),
  hosts: z.array(z.object({ host: z.string(), granted: z.boolean() })),
  commands: z.array(z.string()),
  pages: z.array(z.string()),
  serviceWorker: workerState,
  incognito: z.boolean(),
  fileAccess: z.boolean(),
  ...{ manifestErrors: z.array(z.string()), runtimeErrors: z.array(z.string()) },
});

type ExtensionDetails = z.infer<typeof detailsOutput>;

export const getExtensionDetailsTool = defineTool({
  name: 'get_extension_details',
  title: 'Extension details',
  group: 'extension',
  needs: 'extension',
  description:
    'What Chrome knows of an extension: permissions, hosts, pages, commands, errors. Its files: inspect_extension_manifest',
  input: z.strictObject({ extensionId: extensionIdInput }),
  output: detailsOutput,
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id }, { browser, signal }) {
    const structured = await withCdpScope(browser.browser, signal, (scope) => detailsOf(scope, id));
    return { text: describeDetails(structured), structured };
  },
});

async function detailsOf(scope: CdpScope, id: string): Promise<ExtensionDetails> {
  const extension = await findExtension(scope, id);
  const [page, watch] = await Promise.all([ExtensionsPage.open(scope), WorkerMonitor.open(scope)]);
  const info = await page.info(id);
  const manifest = await readManifest(extension);
  const { permissions = [], optional_permissions: optional = [], commands = {}, key } = manifest ?? {};
  const details = toDetails(extension, info, watch.state(id));
  return {
    ...details,
    apis: [...permissions.map(String), ...optional.map((name) => `${String(name)}?`)],
    limits: limitsOf(info, permissions),
    idFromKey: key !== undefined,
    // Chrome adds one for the action to every extension.
    commands: details.commands.filter((text) => manifest === undefined || (text.split(' ', 1)[0] ?? '') in commands),
    pages: (await namedPages(extension)).map(({ name: page }) => page),
  };
}

function toDetails(
  { id, name, version, path, enabled }: Extension,
  info: ExtensionInfo,
  serviceWorker: WorkerState,
): Omit<ExtensionDetails, 'pages' | 'apis' | 'limits' | 'idFromKey'> {
  const { permissions, disableReasons, commands, manifestErrors, runtimeErrors } = info;
  return {
    ...{ id, name, version, path, enabled, serviceWorker },
    description: info.description,
    location: info.location.toLowerCase(),
    disabledBecause: Object.entries(disableReasons).flatMap(([reason, value]) =>
      typeof value === 'string' && value !== '' ? [`${reason}: ${value}`] : value === true ? [reason] : [],
    ),
    permissions: permissions.simplePermissions.map(({ message }) => message),
    hosts: permissions.runtimeHostPermissions?.hosts.map(({ host, granted }) => ({ host, granted })) ?? [],
    commands: commands.map(({ name, keybinding }) => (keybinding === '' ? name : `${name} (${keybinding})`)),
    incognito: info.incognitoAccess.isActive,
    fileAccess: info.fileAccess.isActive,
    manifestErrors: manifestErrors.map(({ message }) => message),
    runtimeErrors: mergedErrors(runtimeErrors.map(({ message: text }) => ({ text, place: '' }))),
  };
}

function describeDetails(details: ExtensionDetails): string {
  const { id, name, version, enabled, hosts, runtimeErrors } = details;
  const list = (values: readonly string[]): string => (values.length === 0 ? 'none' : values.join(', '));
  return [
    `"${name}" ${version}, ${id}, ${enabled ? 'enabled' : ['disabled', ...details.disabledBecause].join(', ')}`,
    ...(details.description === '' ? [] : [oneLine(details.description, 200)]),
    `Folder: ${details.path} (${details.location})`,
    `Its id is made from ${details.idFromKey ? 'the key in its manifest' : "the folder's path, so it differs elsewhere"}.`,
    `Permissions: ${list(details.apis)}; those that Chrome shows to users: ${list(details.permissions)}`,
    ...details.limits,
    `Hosts: ${list(hosts.map(({ host, granted }) => (granted ? host : `${host} (not granted)`)))}`,
    `Pages: ${list(details.pages)}; service worker: ${details.serviceWorker}`,
    `Commands: ${oneLine(list(details.commands), 2_000)}`,
    `Incognito: ${details.incognito ? 'yes' : 'no'}; file addresses: ${details.fileAccess ? 'yes' : 'no'}`,
    ...details.manifestErrors.map((message) => `Manifest: ${oneLine(message, 1_000)}`),
    ...runtimeErrors.map((message) => `Runtime error: ${oneLine(message, 200)}`),
  ].join('\n');
}

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

import { z } from 'zod';
import {
  ExtensionsPage,
  findExtension,
  type Extension,
  type ExtensionInfo,
} from '../../browser/extensions/installedExtensions.js';
import { declaredContexts } from '../../browser/extensions/contexts.js';
import { WorkerMonitor, type WorkerState } from '../../browser/extensions/serviceWorkers.js';
import { withCdpScope, type CdpScope } from '../../browser/cdp/cdpScope.js';
import { oneLine } from '../pagination.js';
import { defineTool } from '../defineTool.js';
import { count, extensionId, workerState } from '../extensionFields.js';

const detailsOutput = z.object({
  id: extensionId,
  name: z.string(),
  version: z.string(),
  description: z.string(),
  path: z.string(),
  location: z.string(),
  enabled: z.boolean(),
  disabledBecause: z.array(z.string()),
  /** As Chrome words them to users. */
  permissions: z.array(z.string()),
  hosts: z.array(z.object({ host: z.string(), granted: z.boolean() })),
  commands: z.array(z.string()),
  pages: z.array(z.string()),
  serviceWorker: workerState,
  incognito: z.boolean(),
  fileAccess: z.boolean(),
  manifestErrors: z.array(z.string()),
  runtimeErrors: z.array(z.string()),
});

type ExtensionDetails = z.infer<typeof detailsOutput>;

export const getExtensionDetailsTool = defineTool({
  name: 'get_extension_details',
  group: 'extension',
  needs: 'extension',
  description: 'What Chrome knows of an extension: permissions, host access, pages, commands, errors',
  input: z.strictObject({ extensionId }),
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
  return { ...toDetails(extension, info, watch.state(id)), pages: await declaredContexts(extension) };
}

function toDetails(
  { id, name, version, path, enabled }: Extension,
  info: ExtensionInfo,
  serviceWorker: WorkerState,
): Omit<ExtensionDetails, 'pages'> {
  const { permissions, disableReasons, commands, manifestErrors, runtimeErrors } = info;
  return {
    ...{ id, name, version, path, enabled, serviceWorker },
    description: info.description,
    location: info.location.toLowerCase(),
    disabledBecause: Object.keys(disableReasons).filter((reason) => disableReasons[reason] === true),
    permissions: permissions.simplePermissions.map(({ message }) => message),
    hosts: permissions.runtimeHostPermissions?.hosts.map(({ host, granted }) => ({ host, granted })) ?? [],
    commands: commands.map(({ name, keybinding }) => (keybinding === '' ? name : `${name} (${keybinding})`)),
    incognito: info.incognitoAccess.isActive,
    fileAccess: info.fileAccess.isActive,
    manifestErrors: manifestErrors.map(({ message }) => message),
    runtimeErrors: runtimeErrors.map(({ message }) => message),
  };
}

function describeDetails(details: ExtensionDetails): string {
  const { id, name, version, enabled, hosts, runtimeErrors } = details;
  const list = (values: readonly string[]): string => (values.length === 0 ? 'none' : values.join(', '));
  return [
    `"${name}" ${version}, ${id}, ${enabled ? 'enabled' : `disabled ${list(details.disabledBecause)}`}`,
    ...(details.description === '' ? [] : [oneLine(details.description, 200)]),
    `Folder: ${details.path} (${details.location})`,
    `Permissions that users are told of: ${list(details.permissions)}`,
    `Hosts: ${list(hosts.map(({ host, granted }) => (granted ? host : `${host} (not granted)`)))}`,
    `Pages: ${list(details.pages)}; service worker: ${details.serviceWorker}`,
    `Commands: ${list(details.commands)}`,
    `Incognito: ${details.incognito ? 'yes' : 'no'}; file addresses: ${details.fileAccess ? 'yes' : 'no'}`,
    ...details.manifestErrors.map((message) => `Manifest: ${message}`),
    ...(runtimeErrors.length > 0 ? [`${count(runtimeErrors.length, 'runtime error')}:`] : []),
    ...runtimeErrors.map((message) => `  ${oneLine(message, 200)}`),
  ].join('\n');
}

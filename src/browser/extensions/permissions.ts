import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { messageOf, ToolError } from '../../errors/errors.js';
import { readPermissions, removePermissions } from '../cdp/injectedFunctions.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import type { GrantedPermissions } from '../injected/extensionContract.js';
import type { SessionPage } from '../page/sessionPage.js';
import { EvaluationError, ExtensionDocument } from './evaluateInTarget.js';
import { reloadExtension, type ReloadResult } from './extensionInstall.js';
import { loading, loadWithoutFiles, requireAllowedApis } from './fileAccess.js';
import { ExtensionsPage, loadExtension, type Extension, type HostAccess } from './installedExtensions.js';
import { readManifest, stringsIn, type Manifest } from './manifest.js';

/** What an extension may do now, and what it may ask for. */
export interface PermissionState {
  readonly granted: GrantedPermissions;
  /** APIs and hosts of the manifest that are optional and not granted. */
  readonly open: readonly string[];
  /** Hosts of the manifest that are withheld by the choice of sites. */
  readonly withheld: readonly string[];
  /** Undefined where the extension has no hosts to choose from. */
  readonly hostAccess: string | undefined;
  readonly hasActiveTab: boolean;
}

const grantedSchema = z.object({ apis: z.array(z.string()), hosts: z.array(z.string()) });

export async function readPermissionState(scope: CdpScope, extension: Extension): Promise<PermissionState> {
  const [page, document] = await Promise.all([ExtensionsPage.open(scope), ExtensionDocument.open(scope, extension)]);
  const [granted, info, manifest] = await Promise.all([
    document.call(readPermissions, [], grantedSchema),
    page.info(extension.id),
    readManifest(extension),
  ]);
  const { hostAccess, hosts = [] } = info.permissions.runtimeHostPermissions ?? {};
  // Chrome counts it as granted also while its switch is off.
  const isOff = granted.apis.includes(userScripts) && info.userScriptsAccess?.isActive === false;
  const apis = isOff ? granted.apis.filter((name) => name !== userScripts) : granted.apis;
  const active = new Set([...apis, ...granted.hosts]);
  return {
    granted: { ...granted, apis },
    open: [...optionalOf(manifest).filter((name) => !active.has(name)), ...(isOff ? [userScripts] : [])],
    withheld: hosts.filter((host) => !host.granted).map(({ host }) => host),
    hostAccess,
    hasActiveTab: granted.apis.includes('activeTab'),
  };
}

const userScripts = 'userScripts';

const optionalOf = (manifest: Manifest | undefined): string[] => [
  ...stringsIn(manifest?.optional_permissions),
  ...stringsIn(manifest?.optional_host_permissions),
];

const isHost = (permission: string): boolean => permission === '<all_urls>' || permission.includes('://');

/** What Chrome asks its user about, decided for a test. */
export interface PermissionChange {
  readonly grant: readonly string[];
  readonly revoke: readonly string[];
  readonly hostAccess: HostAccess | undefined;
}

/**
 * Grants and revokes permissions as Chrome's user does. Resolves with the reload that this took, if any. Throws a
 * ToolError for what the manifest does not allow.
 */
export async function changePermissions(
  scope: CdpScope,
  extension: Extension,
  { change, pages, folder }: { change: PermissionChange; pages: readonly SessionPage[]; folder: () => Promise<string> },
): Promise<ReloadResult | undefined> {
  const page = await ExtensionsPage.open(scope);
  const manifest = await readManifest(extension);
  const isUsers = stringsIn(manifest?.permissions).includes(userScripts);
  if (isUsers && change.grant.includes(userScripts)) await page.allowUserScripts(extension.id, true);
  if (isUsers && change.revoke.includes(userScripts)) await page.allowUserScripts(extension.id, false);
  const missing = await requestable(scope, { extension, manifest, wanted: change.grant });
  if (change.hostAccess !== undefined) await page.setHostAccess(extension.id, change.hostAccess);
  await revoke(scope, {
    extension,
    page,
    permissions: change.revoke.filter((name) => !isUsers || name !== userScripts),
  });
  const state = await readPermissionState(scope, extension);
  const withheld = missing.filter((name) => state.withheld.includes(name));
  for (const host of withheld) await page.setHost(extension.id, host, true);
  const optional = missing.filter((name) => !withheld.includes(name));
  if (optional.length === 0)
    // Its worker has the API from its next start on.
    return isUsers && change.grant.includes(userScripts) ? reloadExtension(scope, extension, pages) : undefined;
  const reload = await grantOptional(scope, extension, { state, optional, manifest, pages, folder: await folder() });
  const { granted } = await readPermissionState(scope, extension);
  const refused = optional.filter((name) => ![...granted.apis, ...granted.hosts].includes(name));
  if (refused.length > 0) throw new ToolError(`Chrome did not grant ${refused.join(', ')} to ${extension.name}.`);
  return reload;
}

/** Those of the wanted permissions that are not active. */
async function requestable(
  scope: CdpScope,
  { extension, manifest, wanted }: { extension: Extension; manifest: Manifest | undefined; wanted: readonly string[] },
): Promise<string[]> {
  if (wanted.length === 0) return [];
  if (wanted.includes('incognito'))
    throw new ToolError(
      'Incognito is granted to no extension: its windows would be outside of the session. To test split mode, install the extension in a second session.',
    );
  const { granted, withheld } = await readPermissionState(scope, extension);
  const missing = wanted.filter((name) => !granted.apis.includes(name) && !granted.hosts.includes(name));
  const optional = optionalOf(manifest);
  const mayAsk = optional.some(isHost);
  const wrong = missing.filter(
    (name) =>
      !optional.includes(name) && !withheld.includes(name) && !(isHost(name) && (mayAsk || withheld.length > 0)),
  );
  if (wrong.length === 0) return missing;
  const key = wrong.some(isHost) ? 'optional_host_permissions' : 'optional_permissions';
  throw new ToolError(
    `The manifest of ${extension.name} does not let it ask for ${wrong.join(', ')}. ` +
      `Add it to ${key}, then reload_extension. Now: ${[...optional, ...withheld].join(', ') || 'none'}.`,
  );
}

async function revoke(
  scope: CdpScope,
  { extension, page, permissions }: { extension: Extension; page: ExtensionsPage; permissions: readonly string[] },
): Promise<void> {
  if (permissions.length === 0) return;
  const document = await ExtensionDocument.open(scope, extension);
  for (const name of permissions) {
    try {
      const asked = isHost(name) ? { origins: [name] } : { permissions: [name] };
      await document.call(removePermissions, [asked], z.boolean());
    } catch (error) {
      if (!(error instanceof EvaluationError)) throw error;
      await page.setHost(extension.id, name, false).catch(() => {
        const fix = isHost(name)
          ? 'Withhold the hosts of the manifest with hosts on_click.'
          : 'Only optional ones can be revoked.';
        const [reason = ''] = messageOf(error).split('\n');
        throw new ToolError(`Chrome did not revoke ${name}: ${reason} ${fix}`, { cause: error });
      });
    }
  }
}

interface Grant {
  readonly state: PermissionState;
  readonly optional: readonly string[];
  readonly manifest: Manifest | undefined;
  readonly pages: readonly SessionPage[];
  readonly folder: string;
}

/**
 * Chrome shows its prompt outside of all pages, where nobody can answer it. So the same extension (by its key) is loaded
 * once with a manifest that requires what is optional, without scripts, and then from its folder again: Chrome keeps what
 * was granted, and the storage.
 */
async function grantOptional(
  scope: CdpScope,
  extension: Extension,
  { state, optional, manifest, pages, folder }: Grant,
): Promise<ReloadResult> {
  const { granted } = state;
  requireAllowedApis(scope.owner, optional);
  return reloadExtension(scope, extension, pages, async () => {
    // If Chrome refuses the folder as it is now, what is loaded stays.
    await loadWithoutFiles(scope, extension.path);
    await loading(scope, async (own) => {
      const place = await mkdtemp(join(folder, 'permissions-'));
      const requiring = {
        manifest_version: 3,
        name: extension.name,
        version: extension.version,
        key: manifest?.key ?? Buffer.from(extension.path).toString('base64'),
        permissions: [
          ...stringsIn(manifest?.permissions),
          ...granted.apis,
          ...optional.filter((name) => !isHost(name)),
        ],
        host_permissions: [...stringsIn(manifest?.host_permissions), ...granted.hosts, ...optional.filter(isHost)],
      };
      try {
        await writeFile(join(place, 'manifest.json'), JSON.stringify(requiring));
        await loadExtension(own, place);
      } finally {
        await rm(place, { recursive: true, force: true });
      }
    });
  });
}

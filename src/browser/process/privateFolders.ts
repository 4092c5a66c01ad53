/**
 * The name prefixes of the folders that a server creates for itself and its sessions, mostly in the temporary folder.
 */
export const privateFolders = {
  run: 'greenroom-run-',
  session: 'greenroom-session-',
  resource: 'greenroom-resource-',
} as const;

/** Whether a folder of this name holds profiles, archives or results, which no session may open by path. */
export function isPrivateFolder(name: string): boolean {
  return Object.values(privateFolders).some((prefix) => name.startsWith(prefix));
}

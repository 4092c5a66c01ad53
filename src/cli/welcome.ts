import type { Config } from '../config/config.js';
import { clientSetups } from '../server/rootPage.js';

export interface WelcomeFacts {
  readonly url: string;
  readonly version: string;
  readonly config: Pick<
    Config,
    'auth' | 'publicUrl' | 'workspace' | 'browser' | 'browserUrl' | 'browserAutoConnect' | 'userDataDir' | 'lease'
  >;
  /** The browser that will be launched; undefined if none was found. */
  readonly executable: string | undefined;
}

/** What a person reads when the server has started: what to paste, where to look, what tools may touch. */
export function welcomeLines({ url, version, config, executable }: WelcomeFacts): string[] {
  const address = config.publicUrl ?? url;
  const needsToken = config.auth !== 'none';
  const rows: [name: string, text: string][] = [
    ...clientSetups(`${address}/mcp`, needsToken).map(({ name, text }): [string, string] => [name, text]),
    ['Inspector', `${address}/inspector`],
    ['Files', describeFiles(config.workspace)],
    ['Browser', describeBrowser(config, executable)],
  ];
  if (config.auth === 'token')
    rows.push(['Tokens', `POST ${url}/api/users makes a user, …/tokens a token; with the operator's token`]);
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  return [
    `Greenroom ${version} is ready at ${url}. Ctrl-C stops it. Connect a client:`,
    ...rows.map(([name, text]) => `  ${name.padEnd(width)}${text}`),
  ];
}

function describeFiles(workspace: readonly string[]): string {
  if (workspace.length === 0) return "tools read and write only each session's own folder; --workspace DIR adds one";
  return `tools read and write only below ${workspace.join(' and ')}; --workspace DIR chooses others`;
}

function describeBrowser(
  { browser, browserUrl = [], browserAutoConnect, userDataDir }: WelcomeFacts['config'],
  executable: string | undefined,
): string {
  if (browserAutoConnect)
    return 'your running Chrome; it asks you once, at the first session. See chrome://inspect/#remote-debugging there';
  if (userDataDir !== undefined && executable !== undefined) return `${executable}, with the profile ${userDataDir}`;
  if (browser === 'attach') return `attached: ${browserUrl.map((each) => new URL(each).host).join(', ')}`;
  return executable ?? 'none was found: run `npx greenroom install-browser`, or name one with --executable-path';
}

import { tmpdir } from 'node:os';
import { isIP } from 'node:net';
import { join } from 'node:path';
import type { z } from 'zod';
import { homeFolder } from '../folders.js';
import { isUrlPattern } from '../networkAddresses.js';
import { optionsSchema, stdioDefaults, type Options } from './options.js';

export { durationSchema, quotasSchema, optionsSchema as options, stdioDefaults, type Options } from './options.js';

export const optionNames = Object.keys(optionsSchema.shape);

export const flagOf = (name: string): string => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

export const variableOf = (name: string): string =>
  `GREENROOM_${flagOf(name).slice(2).replaceAll('-', '_').toUpperCase()}`;

/** The checked configuration. Frozen, read once at start; durations in milliseconds, sizes in bytes. */
export type Config = Readonly<
  Omit<z.output<typeof optionsSchema>, 'browser' | 'isolation' | 'dataDir' | 'workspace'> & {
    dataDir: string;
    browser: 'launch' | 'attach';
    isolation: 'auto' | 'context' | 'process' | 'profile';
    workspace: readonly string[];
  }
>;

/** An option's default, in Markdown; empty if it has none. */
export function defaultOf(name: string): string {
  const schema = Object.entries(optionsSchema.shape).find(([key]) => key === name)?.[1];
  const displayed = schema?.meta()?.['shown'];
  if (typeof displayed === 'string') return displayed;
  const value: unknown = schema && 'defaultValue' in schema.def ? schema.def.defaultValue : undefined;
  const items: readonly unknown[] = Array.isArray(value) ? value : [value ?? ''];
  const text = items.map(String).join(',');
  const stdioDefault = Object.entries(stdioDefaults).find(([key]) => key === name)?.[1];
  const stdioSuffix = stdioDefault === undefined ? '' : `; stdio: \`${stdioDefault}\``;
  return text === '' ? '' : `\`${text}\`${stdioSuffix}`;
}

/** The token of commands that connect to a running server. Not an option of the server. */
export const tokenVariable = 'GREENROOM_TOKEN';

/** An option is unknown or its value is not allowed: one line with the option, its source, the value and what is allowed. */
export class ConfigError extends Error {}

/** The sources of option values. Precedence: flags, environment, file, defaults. */
export interface ConfigSources {
  /** Defaults of the command, which override those of the schema. */
  readonly defaults?: Options;
  readonly flags: Readonly<Record<string, unknown>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly file?: { readonly path: string; readonly values: Readonly<Record<string, unknown>> };
}

/** Merges the sources and checks the result. Throws {@link ConfigError}, also on an unknown key or variable. */
export function readConfig(sources: ConfigSources): Config {
  const merged: Record<string, unknown> = { ...sources.defaults };
  const origin: Record<string, string> = {};
  for (const [key, value] of Object.entries(sources.file?.values ?? {})) {
    const name = optionNames.find((candidate) => candidate === key || flagOf(candidate) === `--${key}`);
    if (name === undefined)
      throw new ConfigError(`${sources.file?.path}: unknown key "${key}". Known keys: ${optionNames.join(', ')}.`);
    merged[name] = value;
    origin[name] = `"${key}" in ${sources.file?.path}`;
  }
  for (const name of optionNames) {
    // A variable that is empty is one that is not set: so compose files and units pass on what nobody has set.
    const fromEnvironment = sources.environment[variableOf(name)] || undefined;
    if (fromEnvironment !== undefined) {
      merged[name] = fromEnvironment;
      origin[name] = variableOf(name);
    }
    if (sources.flags[name] !== undefined) {
      merged[name] = sources.flags[name];
      origin[name] = flagOf(name);
    }
  }
  rejectUnknownVariables(sources.environment);
  merged['dataDir'] ??= defaultDataDir(sources.environment);
  return defineConfig(merged, origin);
}

/** Checks options that are set in code. Throws {@link ConfigError}. */
export function defineConfig(
  values: Options | Record<string, unknown> = {},
  origin: Record<string, string> = {},
): Config {
  const parsed = optionsSchema.safeParse(values);
  if (!parsed.success) throw new ConfigError(describeIssue(parsed.error.issues[0], values, origin));
  const { browser, isolation, dataDir = defaultDataDir({}), workspace, ...rest } = parsed.data;
  const attaching = browser === 'attach' || rest.browserUrl !== undefined || rest.browserAutoConnect;
  const sharesProfile = attaching || rest.userDataDir !== undefined;
  const config: Config = Object.freeze({
    ...rest,
    dataDir,
    browser: attaching ? 'attach' : 'launch',
    isolation: sharesProfile ? (isolation ?? 'profile') : isolationOf(isolation ?? 'auto', rest.auth),
    workspace: workspace ?? sharedFolders(rest.auth),
  });
  rejectContradictions(config, browser);
  rejectUnsafeExposure(config, !('allowedHosts' in values));
  rejectUrlPatterns(config);
  for (const option of ['allowedHosts', 'allowedOrigins'] as const) rejectPatterns(option, config);
  return config;
}

/** Authenticated users share no browser process, unless the operator sets `context`. */
function isolationOf(isolation: Config['isolation'], auth: Config['auth']): Config['isolation'] {
  return isolation === 'auto' && auth !== 'none' ? 'process' : isolation;
}

/** Authenticated users share no folder, unless the operator sets `--workspace`. */
function sharedFolders(auth: Config['auth']): readonly string[] {
  return auth === 'none' ? [process.cwd(), tmpdir()] : [];
}

/** The data folder by the convention of the operating system. */
function defaultDataDir(
  environment: ConfigSources['environment'],
  platform: NodeJS.Platform = process.platform,
): string {
  const home = homeFolder();
  const roots: Partial<Record<NodeJS.Platform, string>> = {
    darwin: join(home, 'Library', 'Application Support'),
    win32: environment['LOCALAPPDATA'] ?? join(home, 'AppData', 'Local'),
  };
  return join(roots[platform] ?? (environment['XDG_DATA_HOME'] || join(home, '.local', 'share')), 'greenroom');
}

function rejectContradictions(config: Config, requestedBrowser: string | undefined): void {
  if (requestedBrowser === 'launch' && config.browserUrl !== undefined) {
    throw new ConfigError('--browser launch contradicts --browser-url: leave one of them out.');
  }
  const contradictions: readonly (readonly [isThere: boolean, text: string])[] = [
    [requestedBrowser === 'launch' && config.browserAutoConnect, '--browser launch contradicts --browser-auto-connect'],
    [
      config.browserUrl !== undefined && config.browserAutoConnect,
      '--browser-auto-connect finds the browser itself and contradicts --browser-url',
    ],
    [
      config.browserUrl !== undefined && config.userDataDir !== undefined,
      '--user-data-dir is for a Chrome on this machine and contradicts --browser-url',
    ],
    [
      config.browser === 'attach' && config.executablePath !== undefined,
      '--executable-path is for a Chrome that the server starts and contradicts --browser attach',
    ],
    [
      config.browser === 'attach' && (config.proxyServer !== undefined || config.chromeArg.length > 0),
      `${config.proxyServer === undefined ? '--chrome-arg' : '--proxy-server'} is for a Chrome that the server starts and contradicts --browser attach`,
    ],
    [
      config.channel !== undefined && (config.browserUrl ?? config.executablePath) !== undefined,
      `--channel finds the Chrome and contradicts ${config.browserUrl === undefined ? '--executable-path' : '--browser-url'}`,
    ],
  ];
  const found = contradictions.find(([isThere]) => isThere);
  if (found !== undefined) throw new ConfigError(`${found[1]}: leave one of them out.`);
  rejectMissingBrowser(config);
  rejectIsolation(config);
}

/** Rejects an option of an attached browser if there is none. */
function rejectMissingBrowser(config: Config): void {
  if (config.browser === 'attach' && config.browserUrl === undefined && !config.browserAutoConnect) {
    throw new ConfigError(
      '--browser attach needs --browser-url, for example http://127.0.0.1:9222, or --browser-auto-connect.',
    );
  }
  if (config.browserHeader !== undefined && config.browserUrl === undefined) {
    throw new ConfigError('--browser-header needs a browser to attach to: add --browser-url.');
  }
}

function rejectIsolation(config: Config): void {
  if (config.browser === 'launch' && config.isolation === 'profile' && config.userDataDir === undefined) {
    throw new ConfigError(
      '--isolation profile needs a browser to attach to: add --browser-url, or --user-data-dir for a profile to launch.',
    );
  }
  if (config.browser === 'launch' && config.userDataDir !== undefined && config.isolation !== 'profile') {
    throw new ConfigError(
      `--user-data-dir is one profile that all sessions share and contradicts --isolation ${config.isolation}: leave one of them out.`,
    );
  }
  if (config.browser === 'attach' && (config.isolation === 'process' || config.isolation === 'auto')) {
    throw new ConfigError(
      `--isolation ${config.isolation} starts browsers and contradicts --browser attach: use context or profile.`,
    );
  }
}

function rejectUnsafeExposure(config: Config, hostsAreDefault: boolean): void {
  const { host, auth } = config;
  if (!isLoopback(host) && auth === 'none') {
    throw new ConfigError(
      `--host ${host} is not loopback, and authentication is off: anyone could control the browser. Use 127.0.0.1, or set --auth.`,
    );
  }
  if (!isLoopback(host) && hostsAreDefault) {
    throw new ConfigError(`--host ${host} needs --allowed-hosts: the host names in the addresses that clients use.`);
  }
  if (auth === 'token' && config.adminToken === undefined) {
    throw new ConfigError('--auth token needs an operator token, to register users: set GREENROOM_ADMIN_TOKEN.');
  }
  if (config.metricsToken !== undefined && config.metricsToken === config.adminToken)
    throw new ConfigError("--metrics-token equals the operator's token, which may do everything: choose another one.");
  if (auth !== 'jwt' && (config.jwtIssuer ?? config.jwtAudience) !== undefined)
    throw new ConfigError(`--jwt-issuer and --jwt-audience have no effect with --auth ${auth}: set --auth jwt.`);
  if (auth === 'jwt' && (config.jwtIssuer === undefined || config.jwtAudience === undefined)) {
    throw new ConfigError('--auth jwt needs --jwt-issuer and --jwt-audience.');
  }
}

/** Names are compared as a whole: a pattern would match nothing, against the operator's expectation. */
function rejectPatterns(option: 'allowedHosts' | 'allowedOrigins', config: Config): void {
  const flag = option === 'allowedHosts' ? '--allowed-hosts' : '--allowed-origins';
  for (const name of config[option]) {
    if (name === 'null')
      throw new ConfigError(`${flag} null is not allowed: every sandboxed page and local file has the Origin null.`);
    if (name === '*' && config.auth === 'none')
      throw new ConfigError(
        `${flag} * needs authentication: without it every web page could control the browser. Name the allowed ones, or set --auth.`,
      );
    if (name !== '*' && name.includes('*'))
      throw new ConfigError(
        `${flag}: ${JSON.stringify(name)} is not allowed. Allowed: whole names${config.auth === 'none' ? '' : ', or * for all'}.`,
      );
  }
}

/** A malformed pattern would block nothing, against the operator's expectation. */
function rejectUrlPatterns({ allowedUrls, blockedUrls }: Config): void {
  for (const [flag, patterns] of [['--allowed-urls', allowedUrls] as const, ['--blocked-urls', blockedUrls] as const]) {
    const wrong = patterns.find((pattern) => !isUrlPattern(pattern));
    if (wrong !== undefined)
      throw new ConfigError(
        `${flag}: ${JSON.stringify(wrong)} is not allowed. Allowed: a host, an address with *, or a network such as 10.0.0.0/8.`,
      );
  }
}

/** Whether only this machine can reach the address. Of names only `localhost` counts. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '');
  if (bare === 'localhost' || bare === '::1') return true;
  return isIP(bare) === 4 && bare.startsWith('127.');
}

function rejectUnknownVariables(environment: ConfigSources['environment']): void {
  const known = new Set([...optionNames.map(variableOf), 'GREENROOM_CONFIG', tokenVariable]);
  const unknown = Object.keys(environment).find((name) => name.startsWith('GREENROOM_') && !known.has(name));
  if (unknown !== undefined)
    throw new ConfigError(`Unknown variable ${unknown}. Known variables: ${[...known].join(', ')}.`);
}

function describeIssue(issue: z.core.$ZodIssue | undefined, values: object, origin: Record<string, string>): string {
  const name = String(issue?.path[0] ?? '');
  if (issue?.code === 'unrecognized_keys')
    return `Unknown option "${issue.keys[0]}". Known options: ${optionNames.join(', ')}.`;
  const isSecret =
    Object.entries(optionsSchema.shape)
      .find(([key]) => key === name)?.[1]
      .meta()?.['secret'] === true;
  const value = isSecret ? 'the value' : JSON.stringify(Object.entries(values).find(([key]) => key === name)?.[1]);
  const allowed = issue?.code === 'invalid_value' ? `one of ${issue.values.join(', ')}` : describeAllowed(issue);
  return `${origin[name] ?? flagOf(name)}: ${value} is not allowed. Allowed: ${allowed}.`;
}

/** Zod's own message, for a check without its own text, rephrased as what would be allowed. */
function describeAllowed(issue: z.core.$ZodIssue | undefined): string {
  if (issue?.code === 'too_small' && issue.message.startsWith('Too small')) return 'a value that is not empty';
  return (issue?.message ?? '').replace(/^Invalid input: expected (\w+), received .*/, 'a $1');
}

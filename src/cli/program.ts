import { readFileSync } from 'node:fs';
import { Argument, Command, Option } from 'commander';
import {
  ConfigError,
  defaultOf,
  flagOf,
  optionNames,
  options,
  readConfig,
  stdioDefaults,
  tokenVariable,
  variableOf,
  type Config,
  type Options,
} from '../config/config.js';
import { codeOf, messageOf } from '../errors/errors.js';
import { packageInfo } from '../packageInfo.js';
import type { CompletedCommand } from './completion.js';
import { firstToolName, readScript, readToolCalls, type ToolCall } from './toolCalls.js';

/** The implementation of each command, supplied by `main.ts`. Each resolves with the exit code. */
export interface Commands {
  /** `reread` reads the sources of the configuration again. Throws a `ConfigError`. */
  serve(config: Config, reread: () => Config): Promise<number>;
  stdio(config: Config): Promise<number>;
  selftest(request: SelftestArguments): Promise<number>;
  call(request: CallArguments): Promise<number>;
  tools(request: ToolsArguments): Promise<number>;
  sessions(request: SessionsArguments): Promise<number>;
  skills(request: SkillsArguments): Promise<number>;
  /** Prints the completion script of a shell. */
  completion(shell: string, commands: readonly CompletedCommand[]): Promise<number>;
  doctor(config: Config): Promise<number>;
  /** Without `url`, the server at `--host` and `--port`. */
  top(config: Config, url: string | undefined): Promise<number>;
  installBrowser(): Promise<number>;
}

export interface SelftestArguments {
  readonly config: Config;
  readonly url: string | undefined;
  /** For a running server with authentication. */
  readonly token: string | undefined;
  /** Number of sessions that run the test at once. */
  readonly sessions: number;
}

export interface CallArguments {
  readonly config: Config;
  readonly url: string | undefined;
  /** For a running server with authentication. */
  readonly token: string | undefined;
  /** Whether a running server at `--host` and `--port` may be used: no other flag is set. */
  readonly mayReuse: boolean;
  /** At least one. */
  readonly calls: readonly ToolCall[];
  /** The name under which the session is kept. */
  readonly session: string | undefined;
  readonly asJson: boolean;
  /** The file or folder for pictures. */
  readonly output: string | undefined;
}

export interface ToolsArguments {
  readonly name: string | undefined;
  readonly asJson: boolean;
}

export interface SessionsArguments {
  readonly config: Config;
  readonly token: string | undefined;
  /** The name of the session to end. */
  readonly end: string | undefined;
}

export interface SkillsArguments {
  readonly action: 'list' | 'install';
  /** Where to install the skills. Undefined: the folders that agents read. */
  readonly folders: readonly string[] | undefined;
  readonly replaces: boolean;
}

type Flags = Record<string, unknown>;

/** A running server. */
export interface ServerTarget {
  readonly url?: string | undefined;
  readonly token?: string | undefined;
}

const programFlags = ['-h', '--help', '-V', '--version'];

/**
 * Parses the command line and runs the command, `serve` by default. Resolves with the exit code; an unknown flag or a value
 * that is not allowed is one line on `writeError` and code 2.
 */
export async function runProgram(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  commands: Commands,
  writeError: (line: string) => void,
): Promise<number> {
  let code = 0;
  const done = (result: number): void => void (code = result);
  const read = (flags: Flags) => readFlags(flags, environment);
  const program = new Command('greenroom').description('MCP server for debugging Chrome and Chrome extensions.');
  program
    .version(packageInfo.version)
    .exitOverride()
    .configureOutput({ outputError: (text) => writeError(oneLine(text).replace(/^error: /, 'greenroom: ')) })
    .addHelpText('after', '\nThe default command is serve. Options of a command: greenroom serve --help');

  withOptions(program.command('serve'))
    .description('run the server (default)')
    .action(async (flags: Flags) => done(await commands.serve(read(flags), () => read(flags))));
  withOptions(program.command('stdio'))
    .description('serve one client on standard input and output, for editors; stops when the input ends')
    .action(async (flags: Flags) => done(await commands.stdio(readFlags(flags, environment, stdioDefaults))));
  withOptions(withToken(withTarget(program.command('selftest'), 'a server started for the test')))
    .description('call every tool against the sample extension and sample pages')
    .option('--sessions <number>', 'number of isolated sessions that run the test at once', readCount, 1)
    .action(async ({ url, token, sessions, ...flags }: Flags & ServerTarget & { sessions: number }) =>
      done(await commands.selftest({ config: read(flags), url, token: readToken(token, environment), sessions })),
    );
  addShellCommands(program, { commands, environment, read, done });
  withOptions(program.command('doctor'))
    .description('check what a server needs on this machine, and print a fix for each problem')
    .action(async (flags: Flags) => done(await commands.doctor(read(flags))));
  withHiddenOptions(withTarget(program.command('top'), 'the server at --host and --port'), '--admin-token')
    .description('watch the sessions of a running server; q quits')
    .action(async ({ url, ...flags }: Flags & ServerTarget) => done(await commands.top(read(flags), url)));
  program
    .command('install-browser')
    .description('install a browser for this server')
    .action(async () => done(await commands.installBrowser()));

  try {
    const helpOf = toolOfHelp(args);
    if (helpOf !== undefined) return await commands.tools({ name: helpOf, asJson: false });
    await program.parseAsync(withSwitches(withDefaultCommand(args, program)), { from: 'user' });
    return code;
  } catch (error) {
    if (isHelp(error)) return 0;
    // Commander has already written its line.
    if (!isCommanderError(error)) writeError(`greenroom: ${messageOf(error)}`);
    return error instanceof ConfigError || isCommanderError(error) ? 2 : 1;
  }
}

interface ShellContext {
  readonly commands: Commands;
  readonly environment: Readonly<Record<string, string | undefined>>;
  read(flags: Flags): Config;
  done(code: number): void;
}

/** The commands that act as a client in the shell. */
function addShellCommands(program: Command, { commands, environment, read, done }: ShellContext): void {
  const fallback = 'the server at --host and --port; if none runs, one started for the call';
  withHiddenOptions(withToken(withTarget(program.command('call'), fallback)))
    .description('call tools in one session, in order, and print their results; stops at the first failure')
    .usage('[options] TOOL JSON [TOOL JSON ...]')
    .argument('[tool...]', `each tool and its arguments: new_page '{"url":"https://example.com"}' take_snapshot`)
    .option('--session <name>', 'keep the session under this name for later commands; needs a running server')
    .option('--file <file>', 'read the calls from a file, one TOOL JSON per line; - is standard input')
    .option('--json', 'print each result as one line of JSON')
    .option('--output <path>', 'file or folder for pictures (default: a new temporary folder)')
    .addHelpText(
      'after',
      `
Exit code: 0 if every tool succeeded, 1 if one failed or no session could be opened, 2 if the command line is wrong.
List the tools: greenroom tools. Arguments of a tool: greenroom call NAME --help
For a server started for the call, the flags of greenroom serve --help can be added.`,
    )
    .action(async (words: string[], flags: Flags & ServerTarget & CallFlags) => {
      const { url, token: tokenFlag, session, file, json = false, output, ...rest } = flags;
      const mayReuse = Object.keys(rest).every((name) => name === 'host' || name === 'port');
      const token = readToken(tokenFlag, environment);
      const calls = [...readToolCalls(words), ...(file === undefined ? [] : readScript(file))];
      if (calls.length === 0)
        throw new ConfigError('Name a tool, or a --file of calls. List the tools: greenroom tools');
      rejectSessionName(session);
      const request = { config: read(rest), url, token, mayReuse, calls, session, asJson: json, output };
      done(await commands.call(request));
    });
  program
    .command('tools')
    .description('list the tools, or describe one with its arguments')
    .argument('[name]', 'the tool to describe')
    .option('--json', 'print the entries of tools/list')
    .action(async (name: string | undefined, { json = false }: { json?: boolean }) =>
      done(await commands.tools({ name, asJson: json })),
    );
  withHiddenOptions(withToken(program.command('sessions')))
    .description('list the sessions that call --session has kept')
    .option('--end <name>', 'end this session and close its pages')
    .action(async ({ token, end, ...flags }: Flags & ServerTarget & { end?: string }) => {
      rejectSessionName(end);
      done(await commands.sessions({ config: read(flags), token: readToken(token, environment), end }));
    });
  program
    .command('skills')
    .description('list the skills (guides) for agents, or install them as files')
    .addArgument(new Argument('[action]', 'what to do').choices(['list', 'install']).default('list'))
    .option('--dir <folder>', 'install into this folder (default: .claude/skills and .agents/skills here)')
    .option('--force', 'also replace files that were changed by hand')
    .action(async (action: SkillsArguments['action'], { dir, force = false }: { dir?: string; force?: boolean }) =>
      done(await commands.skills({ action, folders: dir === undefined ? undefined : [dir], replaces: force })),
    );
  program
    .command('completion')
    .description('print the completion script of a shell: eval "$(greenroom completion bash)"')
    .argument('<shell>', 'bash, zsh or fish')
    .action(async (shell: string) => done(await commands.completion(shell, completedCommands(program))));
}

interface CallFlags {
  readonly session?: string;
  readonly file?: string;
  readonly json?: boolean;
  readonly output?: string;
}

/** The tool that `call new_page --help` describes. */
function toolOfHelp([command, ...words]: readonly string[]): string | undefined {
  const asksForHelp = words.includes('--help') || words.includes('-h');
  return command === 'call' && asksForHelp && !words[0]?.startsWith('-') ? firstToolName(words) : undefined;
}

/** The name is also the name of a file. */
const sessionName = /^[\w-][\w.-]{0,63}$/;

function rejectSessionName(name: string | undefined): void {
  if (name !== undefined && !sessionName.test(name))
    throw new ConfigError(`--session: "${name}" is not allowed. Allowed: 1 to 64 letters, digits, _, - or .`);
}

const completedCommands = (program: Command): CompletedCommand[] =>
  program.commands.map((command) => ({
    name: command.name(),
    description: command.description(),
    flags: command.options.flatMap(({ long }) => long ?? []),
  }));

/** Adds the default command if the arguments are flags only. Commander's own default would accept a misspelt command. */
function withDefaultCommand(args: readonly string[], program: Command): readonly string[] {
  const [first = '-'] = args;
  if (!first.startsWith('-') || programFlags.includes(first)) return args;
  const word = args.find((candidate, index) => !candidate.startsWith('-') && !takesValue(args[index - 1]));
  if (program.commands.some((command) => command.name() === word))
    throw new ConfigError(`The command comes before its flags: greenroom ${word} ${first} …`);
  return ['serve', ...args];
}

const isSwitch = (name: string): boolean => {
  const schema = Object.entries(options.shape).find(([key]) => key === name)?.[1];
  return typeof schema?.safeParse(undefined).data === 'boolean';
};

const switches: ReadonlySet<string> = new Set(optionNames.filter(isSwitch).map(flagOf));

/** The word after a switch is its value only if it is one: `call --headless list_pages` calls a tool. */
function withSwitches(args: readonly string[]): readonly string[] {
  const isValue = (word = ''): boolean => /^(true|false|yes|no|1|0)$/.test(word);
  return args.map((arg, index) => (switches.has(arg) && !isValue(args[index + 1]) ? `${arg}=true` : arg));
}

const takesValue = (word = ''): boolean => word.startsWith('-') && !word.includes('=');

function withTarget(command: Command, fallback: string): Command {
  return command.option('--url <url>', `a running server, with or without /sse (default: ${fallback})`, readUrl);
}

function withToken(command: Command): Command {
  const meaning = 'bearer token for a running server with authentication; set the variable, not the flag';
  return command.option('--token <token>', `${meaning} [${tokenVariable}]`);
}

/** The value is a secret: no error shows it. */
function readToken(flag: string | undefined, environment: Readonly<Record<string, string | undefined>>) {
  const token = flag ?? (environment[tokenVariable] || undefined);
  if (token === undefined || /^[\x21-\x7e]+$/.test(token)) return token;
  const name = flag === undefined ? tokenVariable : '--token';
  throw new ConfigError(`${name}: the value is not allowed. Allowed: a token, without spaces.`);
}

function readUrl(value: string): string {
  if (URL.canParse(value) && /^https?:/.test(value)) return value;
  throw new ConfigError(`--url: "${value}" is not allowed. Allowed: an address such as http://127.0.0.1:32122.`);
}

function readCount(value: string): number {
  const count = Number(value);
  if (Number.isInteger(count) && count >= 1 && count <= 100) return count;
  throw new ConfigError(`--sessions: "${value}" is not allowed. Allowed: 1 to 100.`);
}

/** Adds the options of the server. The help of the command lists only those that select a running server, and `shown`. */
function withHiddenOptions(command: Command, ...shown: readonly string[]): Command {
  const own = command.options.length;
  withOptions(command);
  const isShown = ({ long }: Option): boolean => targetFlags.has(long ?? '') || shown.includes(long ?? '');
  for (const option of command.options.slice(own)) if (!isShown(option)) option.hideHelp();
  return command;
}

/** The flags that select a running server. */
const targetFlags: ReadonlySet<string> = new Set(['--host', '--port', '--config']);

function withOptions(command: Command): Command {
  command.addOption(new Option('--config <file>', 'a JSON file with these options'));
  for (const name of optionNames) {
    const schema = Object.entries(options.shape).find(([key]) => key === name)?.[1];
    const fallback = defaultOf(name).replaceAll('`', '');
    const shown = fallback === '' ? '' : ` (default: ${fallback})`;
    const repeatable = name === 'workspace' || name === 'browserUrl' || /^(allowed|blocked)/.test(name);
    const value = isSwitch(name) ? '[yes]' : '<value>';
    const option = new Option(`${flagOf(name)} ${value}`, `${schema?.description ?? ''}${shown} [${variableOf(name)}]`);
    if (repeatable)
      option.argParser((item: string, earlier: string[] | undefined) => [...(earlier ?? []), ...item.split(',')]);
    if (name === 'chromeArg' || name === 'browserHeader')
      option.argParser((item: string, earlier: string[] | undefined) => [...(earlier ?? []), item]);
    command.addOption(option);
  }
  return command.exitOverride();
}

function readFlags(
  flags: Flags,
  environment: Readonly<Record<string, string | undefined>>,
  defaults: Options = {},
): Config {
  const { config = environment['GREENROOM_CONFIG'] || undefined, ...rest } = flags;
  if (typeof config !== 'string') return readConfig({ flags: rest, environment, defaults });
  return readConfig({ flags: rest, environment, defaults, file: { path: config, values: readFile(config) } });
}

function readFile(path: string): Record<string, unknown> {
  let values: unknown;
  try {
    values = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new ConfigError(`--config ${path}: ${messageOf(error)}`);
  }
  // Without this check, a file that is not an object would count as one without options.
  if (typeof values === 'object' && values !== null && !Array.isArray(values)) return { ...values };
  throw new ConfigError(`--config ${path}: ${JSON.stringify(values).slice(0, 40)} is not allowed. Allowed: an object.`);
}

function isCommanderError(error: unknown): error is { code: string; exitCode: number } {
  return codeOf(error)?.startsWith('commander.') === true;
}

function isHelp(error: unknown): boolean {
  return isCommanderError(error) && error.exitCode === 0;
}

function oneLine(text: string): string {
  const lines = text.split('\n').map((line) => line.trim());
  return lines.filter((line) => line !== '').join(' ');
}

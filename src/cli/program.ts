import { readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import {
  ConfigError,
  defaultOf,
  flagOf,
  optionNames,
  options,
  readConfig,
  variableOf,
  type Config,
} from '../config.js';
import { codeOf, messageOf } from '../errors.js';
import { packageInfo } from '../packageInfo.js';

/** What the commands do; the process edge provides it. Each resolves with the exit code. */
export interface Commands {
  serve(config: Config): Promise<number>;
  selftest(config: Config, url: string | undefined): Promise<number>;
  call(request: { config: Config; url: string | undefined; tool: string; args: string }): Promise<number>;
  doctor(config: Config): Promise<number>;
  installBrowser(): Promise<number>;
}

type Flags = Record<string, unknown>;
type Target = { url?: string };

/** The command line. Resolves with the exit code; a wrong flag or value is one line on `writeError` and 2. */
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
    .configureOutput({ outputError: (text) => writeError(text.trim()) });

  program.addHelpText('after', '\nThe options of a command: greenroom serve --help');

  withOptions(program.command('serve', { isDefault: true }))
    .description('run the server (default)')
    .action(async (flags: Flags) => done(await commands.serve(read(flags))));
  withOptions(program.command('selftest'))
    .description('call every tool against the sample extension and pages')
    .option('--url <url>', 'a running server; default: one that is started for the test')
    .action(async ({ url, ...flags }: Flags & Target) => done(await commands.selftest(read(flags), url)));
  withOptions(program.command('call'))
    .description('call one tool and print its answer')
    .argument('<tool>', 'name of the tool')
    .argument('[json]', 'its arguments as JSON', '{}')
    .option('--url <url>', 'a running server; default: one that is started for the call')
    .action(async (tool: string, json: string, { url, ...flags }: Flags & Target) =>
      done(await commands.call({ config: read(flags), url, tool, args: json })),
    );
  withOptions(program.command('doctor'))
    .description('check what a server needs, and name what mends it')
    .action(async (flags: Flags) => done(await commands.doctor(read(flags))));
  program
    .command('install-browser')
    .description('install a browser for this server')
    .action(async () => done(await commands.installBrowser()));

  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    if (isHelp(error)) return 0;
    // Commander has written its own line already.
    if (!isCommanderError(error)) writeError(`greenroom: ${messageOf(error)}`);
    return error instanceof ConfigError || isCommanderError(error) ? 2 : 1;
  }
}

function withOptions(command: Command): Command {
  command.addOption(new Option('--config <file>', 'a JSON file with these options'));
  for (const name of optionNames) {
    const schema = Object.entries(options.shape).find(([key]) => key === name)?.[1];
    const fallback = defaultOf(name).replaceAll('`', '');
    const shown = fallback === '' ? '' : ` (default: ${fallback})`;
    const repeatable = name === 'workspace' || name.startsWith('allowed');
    const value = name === 'headless' ? '[yes]' : '<value>';
    const option = new Option(`${flagOf(name)} ${value}`, `${schema?.description ?? ''}${shown} [${variableOf(name)}]`);
    if (repeatable)
      option.argParser((item: string, earlier: string[] | undefined) => [...(earlier ?? []), ...item.split(',')]);
    command.addOption(option);
  }
  return command.exitOverride();
}

function readFlags(flags: Flags, environment: Readonly<Record<string, string | undefined>>): Config {
  const { config = environment['GREENROOM_CONFIG'], ...rest } = flags;
  if (typeof config !== 'string') return readConfig({ flags: rest, environment });
  return readConfig({ flags: rest, environment, file: { path: config, values: readFile(config) } });
}

function readFile(path: string): Record<string, unknown> {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  } catch (error) {
    throw new ConfigError(`--config ${path}: ${messageOf(error)}`);
  }
}

function isCommanderError(error: unknown): error is { code: string; exitCode: number } {
  return codeOf(error)?.startsWith('commander.') === true;
}

function isHelp(error: unknown): boolean {
  return isCommanderError(error) && error.exitCode === 0;
}

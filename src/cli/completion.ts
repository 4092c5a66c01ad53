import { ConfigError } from '../config/config.js';
import { allTools } from '../tools/allTools.js';

/** A command and its description, as the completion shows them. */
export interface CompletedCommand {
  readonly name: string;
  readonly description: string;
  /** Long flags. */
  readonly flags: readonly string[];
}

type Script = (commands: readonly CompletedCommand[], tools: readonly string[]) => string;

const withTools = 'call|tools';

/** Every script completes commands, their flags, and after `call` and `tools` the names of tools. */
const scripts: Readonly<Record<string, Script>> = {
  bash: (commands, tools) => `_greenroom() {
  local current=\${COMP_WORDS[COMP_CWORD]} command=\${COMP_WORDS[1]}
  if ((COMP_CWORD == 1)); then COMPREPLY=($(compgen -W '${names(commands)}' -- "$current")); return; fi
  if [[ $current == -* ]]; then
    case $command in
${commands.map(({ name, flags }) => `      ${name}) COMPREPLY=($(compgen -W '${flags.join(' ')}' -- "$current")) ;;`).join('\n')}
    esac
    return
  fi
  case $command in ${withTools}) COMPREPLY=($(compgen -W '${tools.join(' ')}' -- "$current")) ;; esac
}
complete -o default -F _greenroom greenroom
`,
  zsh: (commands, tools) => `#compdef greenroom
_greenroom() {
  local -a commands=(${commands.map(({ name, description }) => `'${name}:${quoted(description)}'`).join(' ')})
  local -a tools=(${tools.join(' ')})
  if ((CURRENT == 2)); then _describe command commands; return; fi
  if [[ $words[CURRENT] == -* ]]; then
    case $words[2] in
${commands.map(({ name, flags }) => `      ${name}) compadd -- ${flags.join(' ')} ;;`).join('\n')}
    esac
    return
  fi
  case $words[2] in ${withTools}) compadd -- $tools ;; *) _files ;; esac
}
compdef _greenroom greenroom
`,
  fish: (commands, tools) => `complete -c greenroom -f
${commands.map(({ name, description }) => `complete -c greenroom -n __fish_use_subcommand -a ${name} -d '${quoted(description)}'`).join('\n')}
${commands.flatMap(({ name, flags }) => flags.map((flag) => `complete -c greenroom -n '__fish_seen_subcommand_from ${name}' -l ${flag.slice(2)}`)).join('\n')}
complete -c greenroom -n '__fish_seen_subcommand_from call tools' -a '${tools.join(' ')}'
`,
};

const names = (commands: readonly CompletedCommand[]): string => commands.map(({ name }) => name).join(' ');

const quoted = (text: string): string => text.replaceAll("'", '').replaceAll(':', ' -');

/** `greenroom completion SHELL`: the script that the shell loads. Throws a `ConfigError` on another shell. */
export function completionScript(shell: string, commands: readonly CompletedCommand[]): string {
  const script = Object.hasOwn(scripts, shell) ? scripts[shell] : undefined;
  if (script === undefined)
    throw new ConfigError(`Unknown shell "${shell}". Known: ${Object.keys(scripts).join(', ')}.`);
  return script(
    commands,
    allTools.map(({ name }) => name),
  );
}

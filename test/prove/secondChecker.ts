import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PromelaChart } from './promela.js';
import { machineNamed, translations } from './translations.js';

export interface SecondCount {
  readonly states: number;
  readonly transitions: number;
}

/** SPIN (Debian: `spin` and `gcc`) with the model of one chart. */
export class SecondChecker {
  readonly #folder = mkdtempSync(join(tmpdir(), 'greenroom-spin-'));
  readonly #chart: PromelaChart;
  readonly #compiled = new Set<string>();

  constructor(chart: string, translation = translations[chart]) {
    if (translation === undefined) throw new Error(`No translation of the chart "${chart}".`);
    this.#chart = new PromelaChart(machineNamed(chart), translation);
    writeFileSync(join(this.#folder, 'model.pml'), this.#chart.text);
    this.#run('spin', ['-a', 'model.pml']);
  }

  /** As many states and transitions as it finds, without the state before the first one and the steps from and to it. */
  count(bounds: Readonly<Record<string, number>>): SecondCount {
    const text = this.#check('count', ['-DSAFETY', '-DNOCLAIM'], [], bounds);
    const numberOf = (what: string): number =>
      Number.parseInt(text.split('\n').find((line) => line.includes(what)) ?? '', 10);
    return { states: numberOf('states, stored') - 1, transitions: numberOf('transitions (= stored') - 2 };
  }

  /** Properties that do not hold, and states that no run comes to. */
  refuted(bounds: Readonly<Record<string, number>>): string[] {
    const holds = (name: string): boolean =>
      this.#check('claims', [], ['-a', '-N', name], bounds).includes('errors: 0');
    return [
      ...this.#chart.properties.filter((name) => !holds(name)),
      ...this.#chart.reachable.filter((name) => holds(name)).map((name) => `${name} is reached`),
    ];
  }

  close(): void {
    rmSync(this.#folder, { recursive: true });
  }

  #check(name: string, flags: readonly string[], args: readonly string[], bounds: Readonly<Record<string, number>>) {
    if (!this.#compiled.has(name)) this.#run('gcc', ['-O0', '-w', '-DNOREDUCE', ...flags, '-o', name, 'pan.c']);
    this.#compiled.add(name);
    const env = Object.fromEntries(Object.entries(bounds).map(([key, value]) => [`K_${key}`, String(value)]));
    const text = this.#run(`./${name}`, ['-m100000', '-w16', ...args], env);
    if (!/errors: [01]/.test(text) || /error: max search depth/.test(text))
      throw new Error(`SPIN did not end:\n${text}`);
    return text;
  }

  #run(command: string, args: readonly string[], env: Record<string, string> = {}): string {
    return execFileSync(command, args, {
      cwd: this.#folder,
      encoding: 'utf8',
      env: { ...process.env, ...env },
      stdio: 'pipe',
    });
  }
}

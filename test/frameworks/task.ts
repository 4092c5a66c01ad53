import type { ToolHarness } from '../tools/support/toolHarness.js';

/** Something that a person does on a page of a library, and an agent through the tools. */
export interface Task {
  readonly name: string;
  /** The body of the page. */
  readonly html?: string;
  /** The module of the page. Keeps what matters in `globalThis.state`. */
  readonly source: string;
  /** The first natural try. */
  readonly act: (agent: Agent) => Promise<unknown>;
  /** An expression, and its value afterwards. */
  readonly read?: string;
  readonly expected: unknown;
}

/** Finds elements by their line in a snapshot, as an agent would. */
export class Agent {
  readonly #tools: ToolHarness;

  constructor(tools: ToolHarness) {
    this.#tools = tools;
  }

  async uid(line: string): Promise<string> {
    const snapshot = await this.snapshot();
    const found = snapshot.split('\n').find((candidate) => candidate.includes(line));
    if (found === undefined) throw new Error(`The snapshot has no ${line}:\n${snapshot}`);
    return /uid=(e\d+)/.exec(found)?.[1] ?? '';
  }

  snapshot(): Promise<string> {
    return this.#tools.text('take_snapshot');
  }

  async click(line: string, more: object = {}): Promise<void> {
    await this.#tools.run('click', { uid: await this.uid(line), ...more });
  }

  async hover(line: string): Promise<void> {
    await this.#tools.run('hover', { uid: await this.uid(line) });
  }

  async fill(line: string, value: string): Promise<void> {
    await this.#tools.run('fill', { uid: await this.uid(line), value });
  }

  async form(values: Readonly<Record<string, string>>): Promise<void> {
    const elements: { uid: string; value: string }[] = [];
    for (const [line, value] of Object.entries(values)) elements.push({ uid: await this.uid(line), value });
    await this.#tools.run('fill_form', { elements });
  }

  async drag(from: string, to: string): Promise<void> {
    await this.#tools.run('drag', { from_uid: await this.uid(from), to_uid: await this.uid(to) });
  }

  async press(...keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.#tools.run('press_key', { key });
  }

  async type(text: string): Promise<void> {
    await this.#tools.run('type_text', { text });
  }

  async waitFor(text: string): Promise<void> {
    await this.#tools.run('wait_for', { text: [text], timeout: 5_000 });
  }

  async evaluate(expression: string): Promise<unknown> {
    return JSON.parse(await this.#tools.text('evaluate_script', { function: `() => (${expression})` }));
  }
}

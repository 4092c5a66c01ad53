import { z } from 'zod';
import { ToolError } from '../../src/errors/errors.js';
import { defineTool, type Tool, type ToolContext } from '../../src/tools/defineTool.js';
import { Gate } from './gate.js';

const annotations = { readOnlyHint: true } as const;
const output = z.object({ value: z.string() });
/** Made once: a schema is compiled at its first use. */
const inputs = {
  nothing: z.object({}).strict(),
  echo: z.object({ value: z.string() }).strict(),
  hold: z.object({ value: z.string().default('held') }).strict(),
  fail: z.object({ how: z.enum(['tool', 'defect', 'sync', 'full']) }).strict(),
  large: z.object({ bytes: z.number() }).strict(),
};
const answer = (value: string) => ({ text: value, structured: { value } });

/** Longer than any test advances its clock: only the tool that is about deadlines ends at one. */
const noDeadlineMs = 1e9;

/** One call of `hold` or `late`: its signal tells whether it was stopped, its gate ends it. */
export interface HeldCall {
  readonly context: ToolContext;
  readonly gate: Gate;
}

/** Tools that need no browser and do what a test tells them. Make one set for each server. */
export class TestTools {
  readonly held: HeldCall[] = [];
  #arrivals: (() => void)[] = [];
  #isOpen = false;

  /** Resolves when `hold` and `late` have been called `count` times in all. */
  async whenHeld(count = 1): Promise<void> {
    while (this.held.length < count) await new Promise<void>((resolve) => this.#arrivals.push(resolve));
  }

  /** Lets every call end, now and from now on. */
  releaseCalls(): void {
    this.#isOpen = true;
    for (const { gate } of this.held) gate.open();
  }

  async #hold(context: ToolContext): Promise<void> {
    const gate = new Gate(this.#isOpen ? 'open' : 'shut');
    this.held.push({ context, gate });
    for (const arrived of this.#arrivals.splice(0)) arrived();
    await gate.pass();
  }

  readonly all: readonly Tool[] = [
    defineTool({
      name: 'echo',
      group: 'session',
      description: 'Answers what it was given.',
      input: inputs.echo,
      output,
      annotations,
      needs: 'nothing',
      handler: ({ value }) => Promise.resolve(answer(value)),
    }),
    defineTool({
      name: 'hold',
      group: 'session',
      description: 'Answers when the test lets it.',
      input: inputs.hold,
      output,
      annotations,
      timeoutMs: noDeadlineMs,
      needs: 'nothing',
      handler: async ({ value }, context) => {
        await this.#hold(context);
        return answer(value);
      },
    }),
    defineTool({
      name: 'late',
      group: 'session',
      description: 'Never ends by itself; its deadline is five seconds.',
      input: inputs.nothing,
      output,
      annotations,
      timeoutMs: 5_000,
      needs: 'nothing',
      handler: async (_args, context) => {
        await this.#hold(context);
        return answer('late');
      },
    }),
    defineTool({
      name: 'fail',
      group: 'session',
      description: 'Fails: `tool` with advice, `defect` with any other error, `sync` before it returns a promise.',
      input: inputs.fail,
      output,
      annotations,
      needs: 'nothing',
      handler: ({ how }) => {
        if (how === 'sync') throw new Error('thrown at once');
        if (how === 'full') throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
        return Promise.reject(how === 'tool' ? new ToolError('No page is open: call new_page.') : new Error('boom'));
      },
    }),
    defineTool({
      name: 'count',
      group: 'pages',
      description: 'Reports progress 1, 2, 2, 1, 3 of 3.',
      input: inputs.nothing,
      output,
      annotations,
      needs: 'nothing',
      handler: (_args, { progress }) => {
        for (const step of [1, 2, 2, 1, 3]) progress(step, 3, `step ${step}`);
        return Promise.resolve(answer('counted'));
      },
    }),
    defineTool({
      name: 'large',
      group: 'network',
      description: 'Answers as many bytes as it is asked for.',
      input: inputs.large,
      output,
      annotations,
      needs: 'nothing',
      handler: ({ bytes }) => Promise.resolve(answer('x'.repeat(bytes))),
    }),
    defineTool({
      name: 'browse',
      group: 'extension',
      description: 'Needs a browser.',
      input: inputs.nothing,
      output,
      annotations,
      needs: 'browser',
      handler: () => Promise.resolve(answer('browsed')),
    }),
  ];
}

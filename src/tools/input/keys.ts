import { z } from 'zod';
import { parseChord, pressChord, typeText } from '../../browser/page/deviceInput.js';
import { actionOutput, answerAction, includeSnapshot } from '../answers.js';
import { definePageTool } from '../defineTool.js';

export const pressKeyTool = definePageTool({
  name: 'press_key',
  group: 'input',
  description: 'Press a key or a chord in the focused element',
  input: z.strictObject({ key: z.string().min(1).describe('Enter, ArrowDown, a, Control+A, …'), includeSnapshot }),
  output: actionOutput,
  annotations: { readOnlyHint: false },
  handler({ key, includeSnapshot: withSnapshot }, { page, signal }) {
    const chord = parseChord(key);
    return answerAction({ page, signal, done: `Pressed ${key}.`, includeSnapshot: withSnapshot }, () =>
      pressChord(page.cdp, chord),
    );
  },
});

export const typeTextTool = definePageTool({
  name: 'type_text',
  group: 'input',
  description: 'Type into the focused element, key by key',
  input: z.strictObject({ text: z.string(), submitKey: z.string().optional().describe('Pressed afterwards: Enter') }),
  output: actionOutput,
  annotations: { readOnlyHint: false },
  handler({ text, submitKey }, { page, signal }) {
    const chord = submitKey === undefined ? undefined : parseChord(submitKey);
    const done = `Typed ${text.length} character(s)${submitKey === undefined ? '' : ` and ${submitKey}`}.`;
    return answerAction({ page, signal, done }, async (either) => {
      await typeText(page.cdp, text, either);
      if (chord) await pressChord(page.cdp, chord);
    });
  },
});

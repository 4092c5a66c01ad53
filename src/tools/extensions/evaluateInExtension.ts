import { z } from 'zod';
import { EvaluationError, type Evaluated } from '../../browser/extensions/evaluateInTarget.js';
import { evaluateInContentScript, evaluateInDocument, evaluateInWorker } from '../../browser/extensions/evaluation.js';
import { findExtension, type Extension } from '../../browser/extensions/extensions.js';
import { withProtocol, type ProtocolScope } from '../../browser/protocol/protocolScope.js';
import { ToolError } from '../../errors.js';
import { capText } from '../answers.js';
import { defineTool, type BrowserToolContext } from '../defineTool.js';
import { extensionId } from './shared.js';

const target = z.enum(['service_worker', 'popup', 'options', 'side_panel', 'offscreen', 'content_script']);

const input = z.strictObject({
  extensionId,
  expression: z.string().min(1).describe('JavaScript, may await; a function is called. chrome.* is there'),
  target: target.default('service_worker'),
  pageId: z.number().int().min(1).optional().describe('For content_script; default: the selected page'),
});

type Args = z.output<typeof input>;

export const evaluateInExtensionTool = defineTool({
  name: 'evaluate_in_extension',
  group: 'extension',
  needs: 'process',
  description: 'Run JavaScript in an open context of an extension',
  input,
  output: z.object({ extensionId, target, type: z.string(), result: z.string() }),
  annotations: { readOnlyHint: false },
  async handler(args, context) {
    const { json, type } = await withProtocol(context.browser.browser, context.signal, async (scope) => {
      const extension = await findExtension(scope, args.extensionId);
      return evaluateIn(scope, extension, args, context).catch((error: unknown) => {
        throw error instanceof EvaluationError ? threw(extension, args.target, error) : error;
      });
    });
    const result = capText(json ?? type, 'pick what you need in the expression');
    return { text: result, structured: { extensionId: args.extensionId, target: args.target, type, result } };
  },
});

function evaluateIn(
  scope: ProtocolScope,
  extension: Extension,
  { expression, target: where, pageId }: Args,
  { browser }: BrowserToolContext,
): Promise<Evaluated> {
  if (where === 'service_worker') return evaluateInWorker(scope, extension, expression);
  if (where === 'content_script') return evaluateInContentScript(scope, extension, browser.page(pageId), expression);
  return evaluateInDocument(scope, extension, where, expression);
}

function threw({ name }: Extension, where: string, error: EvaluationError): ToolError {
  return new ToolError(`The code threw in the ${where.replace('_', ' ')} of ${name}: ${error.message}`, {
    cause: error,
  });
}

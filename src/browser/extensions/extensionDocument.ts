import type { CDPSession } from 'puppeteer-core';
import { z } from 'zod';
import { callExpression, type InjectedFunction } from '../cdp/injectedFunctions.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { evaluateInTarget } from './evaluateInTarget.js';
import { originOf, type Extension } from './installedExtensions.js';

/** The one file that every extension has, and in which none of its code runs. */
export const manifestUrl = (extensionId: string): string => `${originOf(extensionId)}/manifest.json`;

/** Code that runs with all rights of an extension while its worker may sleep. Ends with its scope. */
export class ExtensionDocument {
  readonly #scope: CdpScope;
  readonly #session: CDPSession;

  private constructor(scope: CdpScope, session: CDPSession) {
    this.#scope = scope;
    this.#session = session;
  }

  /** Opens a hidden page at the extension's manifest. */
  static async open(scope: CdpScope, { id }: Extension): Promise<ExtensionDocument> {
    const session = await scope.hiddenPage();
    const { errorText } = await scope.untilAborted(session.send('Page.navigate', { url: manifestUrl(id) }));
    if (errorText !== undefined) throw new Error(`The extension's manifest could not be opened: ${errorText}`);
    return new ExtensionDocument(scope, session);
  }

  /** Calls an injected function and answers what it gives, which has to be JSON. Throws an EvaluationError. */
  async call<Args extends readonly unknown[], Schema extends z.ZodType>(
    source: InjectedFunction<(...args: Args) => unknown>,
    args: Args,
    schema: Schema,
  ): Promise<z.output<Schema>> {
    // Through text, since the answer may be deep.
    const code = `(async () => JSON.stringify(await ${callExpression(source, ...args)}))()`;
    const { json } = await evaluateInTarget(this.#scope, { session: this.#session }, code);
    const text = z.string().parse(JSON.parse(json ?? 'null'));
    return schema.parse(JSON.parse(text));
  }
}

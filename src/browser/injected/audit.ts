import type { AuditRules } from './contract.js';
import { tagOf } from './elements.js';

/** The part of axe-core that is used; axe-core is loaded into the same world first. */
interface Axe {
  getRules(): { readonly ruleId: string; readonly tags: readonly string[] }[];
  run(context: Node, options: object): Promise<{ violations: AxeRule[]; incomplete: AxeRule[] }>;
}

interface AxeRule {
  readonly id: string;
  readonly impact: string | null;
  readonly help: string;
  readonly tags: readonly string[];
  readonly nodes: readonly { readonly element?: Element; readonly failureSummary?: string }[];
}

declare const globalThis: { axe?: Axe };

const maxSummaryChars = 600;

/**
 * Called on a node. Audits it by axe-core, by one rule or by all that have a tag, and takes that away again. Resolves to the
 * findings as JSON, then the elements of all findings, in their order. Of a rule or tag that axe-core does not have, the JSON
 * names it and those that there are.
 */
export async function runAudit(
  this: Node,
  { rule, tags, disabled }: AuditRules,
  maxElements: number,
): Promise<(string | Element)[]> {
  const { axe } = globalThis;
  if (!axe) throw new Error('axe-core is not loaded');
  try {
    const rules = axe.getRules();
    const known = rule === null ? [...new Set(rules.flatMap((each) => each.tags))] : rules.map(({ ruleId }) => ruleId);
    const unknown = (rule === null ? tags : [rule]).find((name) => !known.includes(name));
    if (unknown !== undefined) return [JSON.stringify({ findings: [], review: [], unknown: { name: unknown, known } })];
    const { violations, incomplete } = await axe.run(this, {
      runOnly: rule === null ? { type: 'tag', values: tags } : { type: 'rule', values: [rule] },
      rules: Object.fromEntries(disabled.map((id) => [id, { enabled: false }])),
      // Frames are audited one by one: nothing is sent between them.
      iframes: false,
      elementRef: true,
      preload: false,
      restoreScroll: true,
    });
    const elements: Element[] = [];
    const findings = violations.map(({ id, impact, help, tags: of, nodes }) => ({
      ...{ id, help, tags: of },
      impact: impact ?? 'minor',
      count: nodes.length,
      nodes: nodes.slice(0, maxElements).flatMap(({ element, failureSummary = '' }) => {
        if (!element) return [];
        elements.push(element);
        return [{ element: tagOf(element), summary: failureSummary.slice(0, maxSummaryChars) }];
      }),
    }));
    const review = incomplete.map(({ id, help, nodes }) => ({ id, help, count: nodes.length }));
    return [JSON.stringify({ findings, review }), ...elements];
  } finally {
    delete globalThis.axe;
  }
}

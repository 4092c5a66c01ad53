import { z } from 'zod';
import { auditAccessibility, type AuditFinding, type AuditReport } from '../browser/page/accessibilityAudit.js';
import { releaseElements } from '../browser/page/element.js';
import { truncateAnswer } from './answers.js';
import { definePageTool, type Tool } from './defineTool.js';
import { count } from './extensionFields.js';
import { oneLine } from './pagination.js';

/** WCAG 2.2 at the levels A and AA. */
const usualTags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
const maxSummaryChars = 320;
/** The first fixes for a problem are the usual ones. */
const shownWays = 2;

const auditAccessibilityTool = definePageTool({
  name: 'audit_accessibility',
  title: 'Accessibility audit',
  group: 'audit',
  description: 'Check a page with the rules of axe-core, contrast too: what fails, which elements, how to fix it',
  input: z.strictObject({
    uid: z.string().optional().describe('Only what is below this element'),
    tags: z
      .array(z.string())
      .min(1)
      .optional()
      .describe('Of rules; default: WCAG 2.2 A, AA. Also best-practice, wcag2aaa'),
    rule: z.string().optional().describe('Only this rule, with more elements'),
    limit: z.int().min(1).max(50).default(5).describe('Elements of each rule'),
  }),
  output: z.object({
    findings: z.array(
      z.object({
        rule: z.string(),
        impact: z.string(),
        help: z.string(),
        tags: z.array(z.string()),
        count: z.int(),
        elements: z.array(z.object({ uid: z.string(), element: z.string(), summary: z.string() })),
      }),
    ),
    review: z.array(z.object({ rule: z.string(), count: z.int() })),
    documents: z.int(),
    skipped: z.array(z.string()),
  }),
  annotations: { readOnlyHint: true },
  timeoutMs: 120_000,
  async handler({ uid, tags = usualTags, rule, limit }, { page }) {
    try {
      const below = uid === undefined ? undefined : page.elements.addressOf(uid);
      const report = await auditAccessibility(page, { below, rule, tags });
      const { findings } = report;
      const shown = rule === undefined ? limit : Math.max(limit, 50);
      return {
        text: truncateAnswer(reportLines(findings, report, shown).join('\n'), 'pass rule, or a smaller limit'),
        structured: {
          findings: findings.map(({ id, elements, tags: of, ...finding }) => ({
            ...finding,
            rule: id,
            tags: [...of],
            elements: elements.slice(0, shown).map((one) => ({ ...one, summary: shortSummary(one.summary) })),
          })),
          review: [...report.review].map(([id, count]) => ({ rule: id, count })),
          documents: report.documents,
          skipped: [...report.skipped],
        },
      };
    } finally {
      await releaseElements(page);
    }
  },
});

function reportLines(
  findings: readonly AuditFinding[],
  { review, documents, skipped }: AuditReport,
  limit: number,
): string[] {
  const failing = findings.reduce((sum, finding) => sum + finding.count, 0);
  const summary = `${count(failing, 'failing element')} of ${count(findings.length, 'rule')}`;
  const where = documents === 1 ? '' : ` in ${documents} documents`;
  const left = [...review].map(([id, elements]) => `${id} (${elements})`);
  return [
    findings.length === 0 ? `No rule fails${where}.` : `${summary}${where}:`,
    ...findings.flatMap((finding) => findingLines(finding, limit)),
    ...(left.length === 0 ? [] : [`Only a person can decide: ${left.join(', ')}`]),
    ...skipped.map((line) => `Not audited: ${oneLine(line, 200)}`),
  ];
}

function findingLines({ id, impact, help, count: total, elements, tags }: AuditFinding, limit: number): string[] {
  const of = tags
    .filter((tag) => /^(wcag\d|best-practice)/.test(tag))
    .slice(0, 3)
    .join(', ');
  const left = total - Math.min(limit, elements.length);
  return [
    `${impact} ${id} × ${total}: ${help} [${of}]`,
    ...elements
      .slice(0, limit)
      .map(({ uid, element, summary }) => `  ${uid} ${oneLine(element, 120)}: ${shortSummary(summary)}`),
    ...(left > 0 ? [`  … ${left} more: pass rule "${id}"`] : []),
  ];
}

/** axe-core writes `Fix any of the following:`, then a line for each way. */
function shortSummary(summary: string): string {
  const ways = summary
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^Fix (any|all) of/.test(line));
  const left = ways.length - shownWays;
  return (
    oneLine(ways.slice(0, shownWays).join('; or: '), maxSummaryChars) + (left > 0 ? `; or ${left} other ways` : '')
  );
}

export const accessibilityTools: readonly Tool[] = [auditAccessibilityTool];

import { quoted, type SnapshotNode, type Steps } from './accessibility.js';

export interface SnapshotLines {
  readonly lines: readonly string[];
  /** The uids of the elements among them that a pointer can act on. */
  readonly targets: readonly string[];
  /** The index of the line that a uid is in. */
  readonly lineOf: ReadonlyMap<string, number>;
}

export interface LineOptions {
  /** A line for each node. */
  readonly verbose: boolean;
  /** Called once for each node that is shown. */
  uidOf(node: SnapshotNode): string;
}

/** Elements that add nothing to the only element in them. */
const wrapperRoles: ReadonlySet<string> = new Set([
  'cell',
  'columnheader',
  'definition',
  'emphasis',
  'LayoutTableCell',
  'listitem',
  'paragraph',
  'rowheader',
  'strong',
  'term',
]);
/** Cells that are not acted on while they have no states. A `gridcell` can be edited. */
const plainCellRoles: ReadonlySet<string> = new Set(['cell', 'columnheader', 'LayoutTableCell', 'rowheader']);
/** Roles that share a line with others. */
const inlineRoles: ReadonlySet<string> = new Set(['code', 'emphasis', 'image', 'strong', 'text', 'time']);
/** Parts of tables that may only arrange what is in them: shown where they are data, which fits in a line. */
const layoutRoles: Readonly<Record<string, string>> = { LayoutTableRow: 'row', LayoutTableCell: 'cell' };

const linesPerStep = 50;

/** The tree as lines, each node before its children. Short: no wrappers of one element, and a table row in one line. */
export function* writeLines(root: SnapshotNode | undefined, options: LineOptions): Steps<SnapshotLines> {
  const lines: string[] = [];
  const targets: string[] = [];
  const lineOf = new Map<string, number>();
  /** A node as it stands in the line that is written next. */
  const entry = (node: SnapshotNode): string => {
    const { name, states } = node;
    const uid = options.uidOf(node);
    lineOf.set(uid, lines.length);
    if (node.isTarget) targets.push(uid);
    const role = (options.verbose ? undefined : layoutRoles[node.role]) ?? node.role;
    return `uid=${uid} ${role}${name === '' ? '' : ` ${quoted(name)}`}${states}`;
  };
  const write = function* (given: SnapshotNode, depth: number, isOfData = false): Steps<void> {
    if (lines.length % linesPerStep === 0) yield;
    const node = options.verbose ? given : unwrapped(given);
    const cells = options.verbose ? undefined : cellsOf(node);
    if (!options.verbose && !cells && !isOfData && isLayout(node)) {
      for (const child of node.children) yield* write(child, depth);
      return;
    }
    const head = entry(node);
    const row = cells?.map((cell) => cell.map((part) => (isPlain(part) ? quoted(part.name) : entry(part))).join(' '));
    lines.push(`${' '.repeat(depth)}${head}${row ? `: ${row.join(', ')}` : ''}`);
    if (cells) return;
    const isData = node.children.filter(hasColumns).length > 1;
    for (const child of node.children) yield* write(child, depth + 1, isData && hasColumns(child));
  };
  if (root) yield* write(root, 0);
  return { lines, targets, lineOf };
}

function unwrapped(node: SnapshotNode): SnapshotNode {
  const [only] = node.children;
  const wraps = only && node.children.length === 1 && wrapperRoles.has(node.role) && node.states === '';
  if (!wraps) return node;
  // The browser names a cell after the value of the field in it.
  const repeats = ['', only.name].includes(node.name) || only.states.includes(` value=${quoted(node.name)}`);
  return repeats ? unwrapped(only) : node;
}

/** In a table without headers, several rows with columns are data: a line per row shows what belongs together. */
const hasColumns = ({ role, children }: SnapshotNode): boolean => role === 'LayoutTableRow' && children.length > 1;

const isLayout = ({ role, name, states, children }: SnapshotNode): boolean =>
  role in layoutRoles && states === '' && name === '' && children.length > 0;

/** What the cells of a row hold. Undefined for what is no row, and where a cell holds what needs lines of its own. */
function cellsOf({ role, children }: SnapshotNode): readonly (readonly SnapshotNode[])[] | undefined {
  if ((role !== 'row' && role !== 'LayoutTableRow') || children.length === 0) return undefined;
  const cells = children.map((cell) => {
    const holds = plainCellRoles.has(cell.role) && cell.states === '' && cell.name === '' && cell.children.length > 0;
    return (holds ? cell.children : [cell]).map(unwrapped);
  });
  return cells.every((parts) => parts.every((part) => fitsInLine(part, parts))) ? cells : undefined;
}

const fitsInLine = (part: SnapshotNode, { length }: readonly SnapshotNode[]): boolean =>
  part.children.length === 0 && (length === 1 || part.isTarget || inlineRoles.has(part.role));

/** Whether a part of a row is written as its text, without a uid. Headers that sort may say so by their focus alone. */
const isPlain = ({ role, states, isFocusable }: SnapshotNode): boolean =>
  states === '' && !isFocusable && (role === 'text' || wrapperRoles.has(role));

/** Processing of a text that pauses where it yields. */
export type Work<Result> = Generator<undefined, Result>;

/** Comments become spaces, so that lines stay where they are. Strings that look like comments may go, too. */
export function* withoutComments(text: string): Work<string> {
  const parts: string[] = [];
  const closings = new Map([
    ['/*', '*/'],
    ['<!--', '-->'],
  ]);
  const openings = /\/\*|<!--|\/\//g;
  let kept = 0;
  for (let found = openings.exec(text); found !== null; found = openings.exec(text)) {
    yield;
    const end = endOfComment(text, found[0], found.index, closings);
    if (end === -1) continue;
    const lines = text.slice(found.index, end).split('\n');
    parts.push(text.slice(kept, found.index), lines.map((line) => ' '.repeat(line.length)).join('\n'));
    kept = end;
    openings.lastIndex = end;
  }
  return parts.join('') + text.slice(kept);
}

/** The end of a comment, or -1. A terminator that was not found once is not searched again. */
function endOfComment(text: string, opening: string, index: number, closings: Map<string, string>): number {
  if (opening === '//') {
    if (index > 0 && !/\s/.test(text[index - 1] ?? '')) return -1;
    const end = text.indexOf('\n', index);
    return end === -1 ? text.length : end;
  }
  const closing = closings.get(opening);
  if (closing === undefined) return -1;
  const end = text.indexOf(closing, index + opening.length);
  if (end === -1) closings.delete(opening);
  return end === -1 ? -1 : end + closing.length;
}

/** Chrome allows lines in a manifest that are comments. */
export function withoutCommentLines(json: string): string {
  return json.replace(/^[ \t]*\/\/.*$/gm, '');
}

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../packageInfo.js';
import { defineResource, type Skill } from './definitions.js';

/** The working guides of this package: `NAME/SKILL.md`. The one source of the skills, the prompts and the plugin. */
export const skillsFolder = join(packageRoot, 'src/skills');

/** The call of a tool in a guide: the name, and for a step its arguments as JSON. */
const namedTool = /`([a-z]+(?:_[a-z]+)*)(?: (\{.*?\}))?`/g;

/** The calls that a guide tells to make, in order, with their arguments. */
export function stepsOf({ body }: Pick<Skill, 'body'>): { readonly tool: string; readonly args: object }[] {
  const calls = [...body.matchAll(namedTool)].filter(([, , args]) => args !== undefined);
  return calls.map(([, tool = '', args = '{}']) => ({ tool, args: JSON.parse(args) as object }));
}

/** Throws if the file is not one of this package's guides: lines `name: value` between two lines of dashes, then a heading. */
function readSkill(name: string): Skill {
  const bytes = readFileSync(join(skillsFolder, name, 'SKILL.md'));
  const text = bytes.toString('utf8');
  const [, head = '', body = ''] = /^---\n([\s\S]*?)\n---\n\n([\s\S]*)$/.exec(text) ?? [];
  const fields = Object.fromEntries(head.split('\n').map((line): [string, string] => splitAt(line, ': ')));
  const { description = '' } = fields;
  const title = /^# (.+)/.exec(body)?.[1];
  if (fields['name'] !== name || description === '' || title === undefined)
    throw new Error(`${skillsFolder}/${name}/SKILL.md lacks a name that is its folder's, a description or a heading.`);
  const about = { name, title, description, mimeType: 'text/markdown' };
  return {
    title,
    frontmatter: { ...fields, name, description },
    file: defineResource({ ...about, uri: `skill://${name}/SKILL.md`, read: () => text }),
    digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
    bytes: bytes.length,
    text,
    body,
    tools: [...new Set([...body.matchAll(namedTool)].map(([, tool = '']) => tool))],
  };
}

function splitAt(line: string, separator: string): [string, string] {
  const [first = '', ...rest] = line.split(separator);
  return [first, rest.join(separator)];
}

/** Every guide, by name. */
export const allSkills: readonly Skill[] = readdirSync(skillsFolder).sort().map(readSkill);

/** The guide of this name. Throws if there is none. */
export function skillNamed(name: string): Skill {
  const found = allSkills.find(({ frontmatter }) => frontmatter.name === name);
  if (found === undefined) throw new Error(`There is no skill ${name}.`);
  return found;
}

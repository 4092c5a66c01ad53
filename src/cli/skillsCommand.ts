import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { noop } from '../async.js';
import { messageOf } from '../errors/errors.js';
import { createFolder } from '../folders.js';
import type { Skill } from '../mcp/definitions.js';
import { allSkills } from '../mcp/skills.js';

export interface SkillInstallOptions {
  /** Folders to install into. Default: those that agents read, in the current folder. */
  readonly folders?: readonly string[] | undefined;
  /** Also replace files that differ. */
  readonly replaces: boolean;
  write(line: string): void;
}

/** The folders in which agents look for skills in a project: that of Claude Code, and that of most others. */
const projectFolders = ['.claude/skills', '.agents/skills'];

/** `greenroom skills`: one line per guide. */
export function listSkills(): string[] {
  const width = Math.max(...allSkills.map(({ frontmatter }) => frontmatter.name.length)) + 2;
  return [
    ...allSkills.map(({ frontmatter: { name, description } }) => `${name.padEnd(width)}${description}`),
    'Install them for agents: greenroom skills install',
  ];
}

interface SkillFile {
  readonly path: string;
  readonly folder: string;
  readonly text: string;
}

/**
 * `greenroom skills install`: writes the guides as files. Resolves with the exit code. A file that differs stops it before
 * anything is written: it may have been changed by hand.
 */
export async function installSkills({
  folders = projectFolders,
  replaces,
  write,
}: SkillInstallOptions): Promise<number> {
  const files = folders.flatMap((folder) => allSkills.map((skill) => fileOf(skill, folder)));
  const found = await Promise.all(files.map(({ path }) => readFile(path, 'utf8').catch(() => undefined)));
  const differing = files.filter(({ text }, index) => found[index] !== undefined && found[index] !== text);
  if (differing.length > 0 && !replaces) {
    const paths = differing.map(({ path }) => path).join(', ');
    write(
      `Nothing was written: ${paths} ${differing.length === 1 ? 'differs' : 'differ'} from this version. Replace with --force.`,
    );
    return 1;
  }
  for (const file of files) await writeWhole(file);
  for (const folder of folders) write(`Wrote ${allSkills.length} skills to ${folder}.`);
  return 0;
}

const fileOf = ({ frontmatter: { name }, text }: Skill, parent: string): SkillFile => {
  const folder = join(parent, name);
  return { folder, path: join(folder, 'SKILL.md'), text };
};

/** If the disk is full, the previous file stays. */
async function writeWhole({ folder, path, text }: SkillFile): Promise<void> {
  const unfinished = `${path}.${process.pid}`;
  try {
    await createFolder(folder, 0o755);
    await writeFile(unfinished, text);
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, { force: true }).catch(noop);
    throw new Error(`${path} cannot be written: ${messageOf(error)}. Choose another --dir.`, { cause: error });
  }
}

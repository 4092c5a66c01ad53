import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installSkills } from '../../src/cli/skillsCommand.js';
import { allPrompts } from '../../src/mcp/prompts.js';
import { allSkills, stepsOf } from '../../src/mcp/skills.js';
import { packageInfo } from '../../src/packageInfo.js';
import { allTools } from '../../src/tools/allTools.js';
import { createOrchestrator, type Orchestrator } from '../../src/server/orchestrator.js';
import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { StatelessClient } from '../support/statelessClient.js';
import { connectClient, startTestServer } from '../support/testServer.js';
import { root } from '../support/root.js';

const tools = new Map(allTools.map((tool) => [tool.name, tool]));

describe.each(allSkills.map((skill) => [skill.frontmatter.name, skill] as const))('the guide %s', (name, skill) => {
  test('names tools that exist, and calls them with arguments that they take', () => {
    expect(skill.tools.filter((tool) => !tools.has(tool))).toEqual([]);
    const steps = stepsOf(skill);
    expect(steps.length).toBeGreaterThan(3);
    for (const { tool, args } of steps) {
      const filled = JSON.stringify(args).replaceAll('EXTENSION_ID', 'a'.repeat(32));
      const checked = tools.get(tool)?.input.safeParse(JSON.parse(filled));
      expect({ tool, args, wrong: checked?.error?.message }).toEqual({ tool, args, wrong: undefined });
    }
  });

  test('has a frontmatter that every reader of YAML reads alike', () => {
    expect(name).toMatch(/^(?!.*--)[a-z0-9][a-z0-9-]{0,62}[a-z0-9]$/);
    expect(Object.keys(skill.frontmatter)).toEqual(['name', 'description', 'compatibility']);
    for (const value of Object.values(skill.frontmatter)) expect(value).toMatch(/^[A-Za-z](?!.*(: | #))[^\n]{5,500}$/);
  });

  test('is given by one prompt, with the arguments of the person in it', () => {
    const [prompt, ...others] = allPrompts.filter(({ title }) => title === skill.title);
    expect(others).toEqual([]);
    const given = { url: 'http://a.example/$&', extensionId: 'a'.repeat(32) };
    const names = Object.keys(prompt?.arguments.shape ?? {});
    const args = Object.fromEntries(Object.entries(given).filter(([argument]) => names.includes(argument)));
    const answer = prompt?.messages(args, {} as never);
    const said = typeof answer === 'string' ? answer : '';
    for (const value of Object.values(args)) expect(said).toContain(`"${value}"`);
    expect(said).not.toContain(names.includes('url') ? '"PAGE"' : '---');
    expect(said.match(/^\d\. /gm)).toEqual(skill.body.match(/^\d\. /gm));
  });
});

describe('a server with the tools of this package', () => {
  let orchestrator: Orchestrator;
  let url: string;
  beforeAll(async () => {
    orchestrator = await createOrchestrator({ pool: new FakeBrowserPool(), options: { port: 0, lease: 'lazy' } });
    ({ url } = await orchestrator.listen());
  });
  afterAll(() => orchestrator.close());

  test('lists its skills to clients that know the extension; what they read is what the list says', async () => {
    const client = new StatelessClient(url);
    const { response: discovered } = await client.request('server/discover');
    expect(discovered.result?.['capabilities']).toMatchObject({ extensions: { 'io.modelcontextprotocol/skills': {} } });
    const { response } = await client.request('skills/list');
    expect(response.result).toMatchObject({ resultType: 'complete', ttlMs: 300_000, cacheScope: 'public' });
    const skills = response.result?.['skills'] as typeof expected;
    const expected = allSkills.map(({ frontmatter, digest, bytes, file: { uri } }) => ({
      uri,
      frontmatter,
      resources: [{ uri, digest, size: bytes }],
    }));
    expect(skills).toEqual(expected);
    for (const { uri, frontmatter, resources } of skills) {
      expect(uri).toBe(`skill://${frontmatter.name}/SKILL.md`);
      const { response: one } = await client.request('skills/get', { params: { uri } });
      expect(one.result?.['skill']).toEqual({ uri, frontmatter, resources });
      const { response: read } = await client.request('resources/read', {
        params: { uri },
        headers: { 'mcp-name': uri },
      });
      const [content] = read.result?.['contents'] as { text: string; mimeType: string }[];
      const bytes = Buffer.from(content?.text ?? '');
      expect(content?.mimeType).toBe('text/markdown');
      expect(resources).toEqual([
        { uri, size: bytes.length, digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}` },
      ]);
    }
    const { response: unknown } = await client.request('skills/get', { params: { uri: 'skill://none/SKILL.md' } });
    expect(unknown.error).toMatchObject({
      code: -32602,
      message: expect.stringContaining('skill://debug-page/SKILL.md') as string,
    });
  });

  test('shows them to every other client as resources', async () => {
    const client = await connectClient(url);
    const { resources } = await client.listResources();
    expect(resources).toEqual(
      allSkills.map(({ title, frontmatter: { name, description }, file: { uri } }) => ({
        ...{ uri, name, title, description },
        mimeType: 'text/markdown',
      })),
    );
    await client.close();
  });
});

test('a server of other tools declares no skills, and does not know their methods', async () => {
  const served = await startTestServer();
  const client = new StatelessClient(served.url);
  const { result } = (await client.request('server/discover')).response;
  expect(JSON.stringify(result)).not.toContain('skills');
  expect((await client.request('skills/list')).response.error).toMatchObject({ code: -32601 });
  await served.close();
});

test('the plugin has the version of the package, and tool names that fit with its prefix', async () => {
  const plugin = JSON.parse(await readFile(join(root, '.claude-plugin/plugin.json'), 'utf8')) as {
    name: string;
    version: string;
    mcpServers: Record<string, { args: string[] }>;
  };
  expect(plugin.version).toBe(packageInfo.version);
  const [[server, { args }]] = Object.entries(plugin.mcpServers) as [[string, { args: string[] }]];
  const longest = Math.max(...allTools.map(({ name }) => name.length));
  expect(`mcp__plugin_${plugin.name}_${server}__`.length + longest).toBeLessThanOrEqual(64);
  const program = join(root, args[0]?.replace('${CLAUDE_PLUGIN_ROOT}/', '') ?? '');
  expect(await readFile(program, 'utf8')).toContain('main.js');
  const { files } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { files: string[] };
  expect(files).toEqual(expect.arrayContaining(['.claude-plugin', 'src/skills', '.bin/greenroom.js']));
});

test('skills are installed as files; one that was changed by hand stops it before anything is written', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-skills-'));
  const lines: string[] = [];
  const install = (replaces: boolean, folders = [folder]) =>
    installSkills({ folders, replaces, write: (line) => void lines.push(line) });
  try {
    expect(await install(false)).toBe(0);
    expect((await readdir(folder)).sort()).toEqual(allSkills.map(({ frontmatter }) => frontmatter.name));
    const file = join(folder, 'debug-page/SKILL.md');
    expect(await readFile(file, 'utf8')).toBe(
      allSkills.find(({ frontmatter }) => frontmatter.name === 'debug-page')?.text,
    );
    expect(await install(false)).toBe(0);
    await writeFile(file, 'mine');
    await rm(join(folder, 'debug-extension'), { recursive: true });
    expect(await install(false)).toBe(1);
    expect(lines.at(-1)).toBe(`Nothing was written: ${file} differs from this version. Replace with --force.`);
    expect(await readFile(file, 'utf8')).toBe('mine');
    expect(await readdir(folder)).not.toContain('debug-extension');
    expect(await install(true)).toBe(0);
    expect(await readFile(file, 'utf8')).not.toBe('mine');
    await expect(install(false, ['/proc/skills'])).rejects.toThrow(/cannot be written: .+ Choose another --dir/);
    await expect(install(false, [file])).rejects.toThrow(/cannot be written: .+ Choose another --dir/);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

import { isJsonObject, objectAt, objectsIn, stringsIn, type ExtensionFiles } from './extensionFiles.js';
import type { Finding, Findings, ManifestJson } from './findings.js';

interface NamedFile {
  readonly at: string;
  readonly path: unknown;
}

const localPath = (path: string): string => path.replace(/^\.?\//, '').split(/[?#]/, 1)[0] ?? '';

/** Icons that are looked at. */
const maxIcons = 100;
/** The header of a PNG with its size. */
const pngBytes = 24;

/** Icons of a wrong size, texts without a translation. */
export async function contentFindings(manifest: ManifestJson, files: ExtensionFiles): Promise<Finding[]> {
  return [...(await iconFindings(manifest, files)), ...(await textFindings(manifest, files))];
}

function namedFiles(manifest: ManifestJson): NamedFile[] {
  return [
    { at: 'background.service_worker', path: objectAt(manifest, 'background')['service_worker'] },
    { at: 'action.default_popup', path: objectAt(manifest, 'action')['default_popup'] },
    { at: 'options_page', path: manifest['options_page'] },
    { at: 'options_ui.page', path: objectAt(manifest, 'options_ui')['page'] },
    { at: 'side_panel.default_path', path: objectAt(manifest, 'side_panel')['default_path'] },
    { at: 'devtools_page', path: manifest['devtools_page'] },
    ...Object.entries(objectAt(manifest, 'chrome_url_overrides')).map(([key, path]) => ({
      at: `chrome_url_overrides.${key}`,
      path,
    })),
    ...stringsIn(objectAt(manifest, 'sandbox')['pages']).map((path) => ({ at: 'sandbox.pages', path })),
    ...objectsIn(manifest['content_scripts']).flatMap((script, index) =>
      ['js', 'css'].flatMap((key) =>
        stringsIn(script[key]).map((path) => ({ at: `content_scripts[${index}].${key}`, path })),
      ),
    ),
    ...objectsIn(objectAt(manifest, 'declarative_net_request')['rule_resources']).map(({ path }) => ({
      at: 'declarative_net_request.rule_resources',
      path,
    })),
  ];
}

/** Files that the manifest names and are not there. */
export function* missingFiles(manifest: ManifestJson, { paths }: ExtensionFiles): Findings {
  const fix = 'Add it, or mend the path, which starts at the folder of the extension and minds upper and lower case.';
  for (const { at, path } of [...namedFiles(manifest), ...iconsOf(manifest)]) {
    yield;
    if (typeof path !== 'string' || path === '' || paths.has(localPath(path))) continue;
    yield { severity: 'error', at, problem: `The file ${path} does not exist.`, fix };
  }
}

function iconsOf(manifest: ManifestJson): (NamedFile & { size: number })[] {
  const sets = [
    { at: 'icons', icons: manifest['icons'] },
    { at: 'action.default_icon', icons: objectAt(manifest, 'action')['default_icon'] },
  ];
  return sets.flatMap(({ at, icons }) => {
    if (typeof icons === 'string') return [{ at, path: icons, size: 0 }];
    if (!isJsonObject(icons)) return [];
    return Object.entries(icons).map(([size, path]) => ({ at: `${at}.${size}`, path, size: Number(size) }));
  });
}

async function iconFindings(manifest: ManifestJson, files: ExtensionFiles): Promise<Finding[]> {
  const icons = iconsOf(manifest);
  const findings = await Promise.all(icons.slice(0, maxIcons).map((icon) => iconFinding(icon, files)));
  const sizes = icons.filter(({ at }) => at.startsWith('icons.')).map(({ size }) => size);
  const absent = [16, 48, 128].filter((size) => !sizes.includes(size));
  const missing: Finding = {
    severity: 'info',
    at: 'icons',
    problem: `There is no icon of ${absent.join(', ')} pixels.`,
    fix: 'Add PNG files; the store asks for 128, chrome://extensions shows 48, menus 16.',
  };
  const unseen: Finding = {
    severity: 'info',
    at: 'icons',
    problem: `Of ${icons.length} icons the first ${maxIcons} were looked at.`,
    fix: 'List fewer: 16, 48 and 128 are enough.',
  };
  return [...findings.flat(), ...(absent.length > 0 ? [missing] : []), ...(icons.length > maxIcons ? [unseen] : [])];
}

async function iconFinding(
  { at, path, size }: NamedFile & { size: number },
  files: ExtensionFiles,
): Promise<Finding[]> {
  if (typeof path !== 'string' || !/\.png$/i.test(path)) {
    if (typeof path !== 'string' || !/\.svg$/i.test(path)) return [];
    return [{ severity: 'error', at, problem: `${path} is SVG, which Chrome does not show.`, fix: 'Use PNG.' }];
  }
  const png = await files.read(localPath(path), pngBytes);
  if (png === undefined) return [];
  if (png.length < pngBytes || png.toString('latin1', 1, 4) !== 'PNG') {
    return [{ severity: 'error', at, problem: `${path} is no PNG.`, fix: 'Save it as PNG.' }];
  }
  const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
  if (size === 0 || (width === size && height === size)) return [];
  const problem = `${path} has ${width} x ${height} pixels and is listed as ${size}.`;
  return [{ severity: 'warning', at, problem, fix: `Make it ${size} x ${size}, or list it under its size.` }];
}

async function textFindings(manifest: ManifestJson, files: ExtensionFiles): Promise<Finding[]> {
  const named = JSON.stringify(manifest).matchAll(/__MSG_(\w+)__/g);
  const used = [...new Set(Array.from(named, ([, name = '']) => name))];
  const locale = manifest['default_locale'];
  const locales = [...files.paths].some((path) => path.startsWith('_locales/'));
  if (typeof locale !== 'string') {
    if (used.length === 0 && !locales) return [];
    const problem = 'default_locale is missing, and there are translations.';
    return [{ severity: 'error', at: 'default_locale', problem, fix: 'Add it, as "en".' }];
  }
  const path = `_locales/${locale}/messages.json`;
  const texts = await files.read(path);
  if (texts === undefined) {
    const fix = 'Add it, or remove default_locale.';
    return [{ severity: 'error', at: 'default_locale', problem: `${path} does not exist.`, fix }];
  }
  const names = new Set(
    Array.from(
      texts
        .toString('utf8')
        .toLowerCase()
        .matchAll(/"(\w+)"/g),
      ([, name]) => name,
    ),
  );
  return used
    .filter((name) => !name.startsWith('@@') && !names.has(name.toLowerCase()))
    .map((name) => ({
      severity: 'error' as const,
      at: path,
      problem: `The manifest uses __MSG_${name}__, which is not there.`,
      fix: `Add "${name}": { "message": "…" }.`,
    }));
}

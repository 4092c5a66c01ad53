import { readExtensionFiles, type ExtensionFiles } from '../extensionFiles.js';
import type { ManifestJson } from '../manifest.js';
import { commandNameFindings, eventFindings, messageFindings } from './callRules.js';
import { apiNeeds, codeFindings, workerFindings } from './codeRules.js';
import { documentFindings, importFindings } from './documentRules.js';
import { fileFindings, loadFindings } from './fileRules.js';
import { severities, type Audit, type Finding } from './findings.js';
import { LinkedCode } from './linkedCode.js';
import { LoadedCode } from './loadedCode.js';
import { manifestFindings } from './manifestRules.js';
import { permissionFindings } from './permissionRules.js';

interface Subject {
  readonly name: string;
  readonly path: string;
}

/** More of one extension are not said. */
const maxFindings = 500;

function examine(files: ExtensionFiles, json: ManifestJson, isLate: () => boolean): Pick<Audit, 'findings' | 'needs'> {
  const loaded = new LoadedCode(files, json, isLate);
  loaded.load();
  const code = new LinkedCode(loaded);
  const audited = { manifest: files.manifest, json, paths: files.paths };
  const found = [
    ...manifestFindings(audited),
    ...fileFindings(audited, loaded),
    ...loadFindings(loaded),
    ...documentFindings(loaded),
    ...importFindings(code),
    ...permissionFindings(code),
    ...codeFindings(code),
    ...workerFindings(code),
    ...messageFindings(code),
    ...eventFindings(code),
    ...commandNameFindings(code),
  ];
  if (files.cut !== undefined)
    found.push({ severity: 'advice', at: 'manifest.json:1', problem: files.cut, fix: 'Nothing is said of the rest.' });
  const unique = new Map(found.map((finding) => [`${finding.at} ${finding.problem}`, finding]));
  const findings = [...unique.values()];
  findings.sort((a, b) => severities.indexOf(a.severity) - severities.indexOf(b.severity));
  return { findings, needs: apiNeeds(code) };
}

/**
 * Audits the folder of an extension; holds the event loop meanwhile. From the moment that `isLate` says so, no more files
 * are looked at.
 */
export async function auditFolder({ name, path }: Subject, isLate: () => boolean): Promise<Audit> {
  const files = await readExtensionFiles({ name, path });
  const { json, problem, lineOf } = files.manifest;
  if (json === undefined) {
    const at = `manifest.json:${lineOf('')}`;
    const finding: Finding = {
      ...{ severity: 'refused', at, problem: `Chrome cannot parse it: ${problem ?? ''}.`, fix: 'Mend the JSON.' },
    };
    return { findings: [finding], more: 0, needs: [], manifest: null };
  }
  const { findings, needs } = examine(files, json, isLate);
  return {
    findings: findings.slice(0, maxFindings),
    more: Math.max(0, findings.length - maxFindings),
    needs,
    manifest: json,
  };
}

import type { Protocol } from 'puppeteer-core';
import { truncateText } from './remoteObject.js';
import type { CodeLocation, ConsoleLevel, ConsoleMessageBody, KeyOfScript } from './consoleMessage.js';

/** The text of an issue as in DevTools: the problem, what it concerns, and the fix. */
interface IssueText {
  readonly level: ConsoleLevel;
  readonly problem: string;
  readonly fix: string;
  readonly location?: CodeLocation | undefined;
  /** The address of the request or resource. */
  readonly affected?: string | undefined;
}

type Details = Protocol.Audits.InspectorIssueDetails;
type Describe<Name extends keyof Details> = (details: NonNullable<Details[Name]>) => IssueText | undefined;

const maxTextChars = 2_000;
const maxUrlChars = 300;

/** An issue as a console message of the type `issue`, or undefined for one that tells a developer of a page nothing. */
export function describeIssue(
  { code, details }: Protocol.Audits.InspectorIssue,
  now: number,
  keyOf: KeyOfScript,
): ConsoleMessageBody | undefined {
  const found = textOf(details) ?? (unwanted.has(code) ? undefined : plainIssue(code));
  if (found === undefined) return undefined;
  const { level, problem, fix, location, affected } = found;
  const about = affected === undefined || affected === '' ? '' : ` (${truncateText(affected, maxUrlChars)})`;
  return {
    type: 'issue',
    level,
    text: truncateText(`${problem}${about}.${fix === '' ? '' : ` Fix: ${fix}.`}`, maxTextChars),
    args: [],
    hasFormat: false,
    abridged: false,
    location: location && { ...location, script: keyOf(scriptOf(details)) },
    stack: [],
    at: now,
  };
}

const cspMessages = [
  /(?:'([^' ]*)' )?violates the following .*?Content Security Policy directive/,
  /^Fetch API cannot load (\S+)\. Refused to connect because it violates/,
  /^This document requires 'Trusted\w+' assignment/,
];
const corsMessage = /^Access to .*? at '([^']*)' .*blocked by CORS policy/;
/** What the blocked request of a CORS issue leaves in the log. */
const corsFailure = 'Failed to load resource: net::ERR_FAILED';

/**
 * What an issue is about that Chrome logs too, in the words of `subjectOfEntry`; undefined for one that it does not log.
 * `message`: the description of the issue.
 */
export function subjectOfIssue({ details }: Protocol.Audits.InspectorIssue, message: ConsoleMessageBody) {
  const { contentSecurityPolicyIssueDetails: policy, corsIssueDetails: cors } = details;
  if (cors?.isWarning === false) return `cors ${cors.request.url}`;
  return policy === undefined ? undefined : cspSubject(policy.blockedURL ?? '', message);
}

/** What a message in Chrome's log is about that is an issue too; undefined for any other. */
export function subjectOfEntry({ text: whole, url = '' }: Protocol.Log.LogEntry, message: ConsoleMessageBody) {
  const text = whole.slice(0, maxTextChars);
  const [, asked] = corsMessage.exec(text) ?? (text === corsFailure ? [text, url] : []);
  if (asked !== undefined) return `cors ${asked}`;
  const found = cspMessages.map((pattern) => pattern.exec(text)).find((match) => match !== null);
  return found === undefined ? undefined : cspSubject(found[1] ?? '', message);
}

/** Issues have no path of some addresses, and the scheme alone of one without a host. */
function cspSubject(blocked: string, { location }: ConsoleMessageBody): string {
  const { protocol, host } = URL.canParse(blocked) ? new URL(blocked) : { protocol: '', host: '' };
  return `csp ${host || protocol.replace(':', '') || blocked} ${location?.url ?? ''}:${location?.line ?? ''}`;
}

function scriptOf({ contentSecurityPolicyIssueDetails, corsIssueDetails, deprecationIssueDetails }: Details): string {
  const places = [contentSecurityPolicyIssueDetails?.sourceCodeLocation, corsIssueDetails?.location];
  return [...places, deprecationIssueDetails?.sourceCodeLocation].find((place) => place?.scriptId)?.scriptId ?? '';
}

/** Hints on forms and contrast are found by audit_accessibility; the others are about Chrome's own trials. */
const unwanted: ReadonlySet<string> = new Set([
  'LowTextContrastIssue',
  'ElementAccessibilityIssue',
  'AttributionReportingIssue',
  'BounceTrackingIssue',
  'CookieDeprecationMetadataIssue',
  'UserReidentificationIssue',
  'PerformanceIssue',
  'ClientHintIssue',
  'StylesheetLoadingIssue',
]);

function textOf(details: Details): IssueText | undefined {
  for (const name of Object.keys(describers) as (keyof typeof describers)[]) {
    const given = details[name];
    if (given !== undefined) return (describers[name] as (details: unknown) => IssueText | undefined)(given);
  }
  return undefined;
}

/** `FooBarIssue` as words. */
function plainIssue(code: string): IssueText {
  return { level: 'warning', problem: words(code.replace(/Issue$/, '')), fix: '' };
}

const words = (name: string): string => {
  const spaced = name.replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
};

function locationOf(place: Protocol.Audits.SourceCodeLocation | undefined): CodeLocation | undefined {
  if (place === undefined || place.url === '') return undefined;
  // Chrome counts from 0; what is of no line has -1.
  const [line, column] = [place.lineNumber, place.columnNumber].map((at) =>
    place.lineNumber < 0 ? undefined : at + 1,
  );
  return { url: truncateText(place.url, 500), line, column };
}

const describeCsp: Describe<'contentSecurityPolicyIssueDetails'> = (details) => {
  const { violatedDirective: directive, blockedURL, isReportOnly, contentSecurityPolicyViolationType: type } = details;
  const [what, fix] = cspTexts[type] ?? ['a resource', `allow it in ${directive}`];
  const verb = isReportOnly ? 'would be blocked (report only)' : 'was blocked';
  return {
    level: isReportOnly ? 'warning' : 'error',
    problem: `Content security policy: ${what} ${verb} by "${directive}"`,
    fix: fix.replace('DIRECTIVE', directive),
    location: locationOf(details.sourceCodeLocation),
    affected: blockedURL,
  };
};

const cspTexts: Partial<
  Record<Protocol.Audits.ContentSecurityPolicyViolationType, readonly [what: string, fix: string]>
> = {
  kInlineViolation: ['inline code', 'move it to a file, or add its nonce or hash to DIRECTIVE'],
  kEvalViolation: ['eval or the like', "do without eval and new Function, or add 'unsafe-eval' to DIRECTIVE"],
  kWasmEvalViolation: ['WebAssembly', "add 'wasm-unsafe-eval' to DIRECTIVE"],
  kURLViolation: ['a resource', 'add its origin to DIRECTIVE, or load it from one that is allowed'],
  kTrustedTypesSinkViolation: ['a text given to a Trusted Types sink', 'pass a value that a Trusted Types policy made'],
  kTrustedTypesPolicyViolation: ['a Trusted Types policy', 'add its name to the trusted-types directive'],
};

const describeCors: Describe<'corsIssueDetails'> = ({
  corsErrorStatus,
  isWarning,
  request,
  location,
  initiatorOrigin,
}) => {
  const { corsError, failedParameter } = corsErrorStatus;
  const parameter = failedParameter === '' ? '' : `: ${failedParameter}`;
  return {
    level: isWarning ? 'warning' : 'error',
    problem: `CORS: the request was ${isWarning ? 'warned of' : 'blocked'}, ${words(corsError).toLowerCase()}${parameter}`,
    fix: corsFix(corsError, initiatorOrigin?.replace(/\/$/, '') ?? "the page's origin"),
    location: locationOf(location),
    affected: request.url,
  };
};

function corsFix(error: Protocol.Network.CorsError, origin: string): string {
  const where = error.startsWith('Preflight') || error.includes('Preflight') ? 'to OPTIONS (preflight) ' : '';
  if (/AllowOrigin|WildcardOrigin/.test(error)) return `answer ${where}with Access-Control-Allow-Origin: ${origin}`;
  if (error.includes('AllowCredentials')) return `answer ${where}with Access-Control-Allow-Credentials: true`;
  if (/Method/.test(error)) return 'name the method in Access-Control-Allow-Methods of the preflight answer';
  if (/Header/.test(error)) return 'name the header in Access-Control-Allow-Headers of the preflight answer';
  if (error === 'PreflightInvalidStatus') return 'answer OPTIONS (preflight) with 204 and without a redirect';
  if (error === 'DisallowedByMode') return 'the request has the mode same-origin: use cors';
  if (/LocalNetwork/.test(error)) return 'requests to the local network need HTTPS and a permission';
  return 'change the answer of that server, or ask it from your own';
}

const describeCookie: Describe<'cookieIssueDetails'> = (details) => {
  const {
    cookie,
    rawCookieLine = '',
    cookieExclusionReasons: excluded,
    cookieWarningReasons: warned,
    operation,
  } = details;
  const [reason] = [...excluded, ...warned];
  if (reason === undefined) return undefined;
  const name = cookie?.name ?? rawCookieLine.split(/[=;]/)[0] ?? '';
  const isExcluded = excluded.length > 0;
  const done = operation === 'SetCookie' ? 'set' : 'sent';
  return {
    level: isExcluded ? 'error' : 'warning',
    problem: `Cookie "${truncateText(name, 100)}" ${isExcluded ? `was not ${done}` : `was ${done}, but may not be later`}: ${words(
      reason,
    )
      .toLowerCase()
      .replace(/^(exclude|warn) /, '')}`,
    fix: cookieFix(reason),
    affected: details.request?.url ?? details.cookieUrl,
  };
};

function cookieFix(reason: string): string {
  if (/SameSiteNoneInsecure/.test(reason)) return 'a cookie with SameSite=None needs Secure, over HTTPS';
  if (/SameSiteUnspecified/.test(reason)) return 'to use it from other sites, set SameSite=None; Secure';
  if (/SameSite(Lax|Strict)$/.test(reason))
    return 'it is not for requests from other sites: SameSite=None; Secure allows that';
  if (/ThirdParty/.test(reason))
    return 'the browser blocks cookies of other sites: use Partitioned, or the Storage Access API';
  if (/NonASCII/.test(reason)) return 'its Domain may have ASCII characters only (Punycode)';
  if (/Downgrade/.test(reason)) return 'use HTTPS on both sites';
  if (/MaxSize/.test(reason)) return 'shorten its attributes to 1024 characters';
  return 'change its attributes';
}

const describeMixed: Describe<'mixedContentIssueDetails'> = ({
  resolutionStatus,
  insecureURL,
  mainResourceURL,
  resourceType,
}) => {
  const isBlocked = resolutionStatus === 'MixedContentBlocked';
  const became = {
    MixedContentBlocked: 'was blocked',
    MixedContentAutomaticallyUpgraded: 'was loaded by HTTPS instead',
    MixedContentWarning: 'was loaded without encryption',
  };
  return {
    level: isBlocked ? 'error' : 'warning',
    problem: `Mixed content: ${(resourceType ?? 'resource').toLowerCase()} of an HTTPS page ${became[resolutionStatus]}`,
    fix: 'use its https: address',
    location: { url: mainResourceURL, line: undefined, column: undefined },
    affected: insecureURL,
  };
};

const blockedFixes: Partial<Record<string, string>> = {
  CoepFrameResourceNeedsCoepHeader: 'the framed document needs Cross-Origin-Embedder-Policy too',
  CoopSandboxedIFrameCannotNavigateToCoopPage: 'a sandboxed frame cannot show a page with Cross-Origin-Opener-Policy',
  CorpNotSameOrigin: 'its server may answer with Cross-Origin-Resource-Policy: cross-origin',
  CorpNotSameSite: 'its server may answer with Cross-Origin-Resource-Policy: cross-origin',
};

const describers: { readonly [Name in keyof Details]?: Describe<Name> } = {
  contentSecurityPolicyIssueDetails: describeCsp,
  corsIssueDetails: describeCors,
  cookieIssueDetails: describeCookie,
  mixedContentIssueDetails: describeMixed,
  blockedByResponseIssueDetails: ({ request, reason }) => ({
    level: 'error',
    problem: `The answer was blocked by a policy of origins: ${words(reason).toLowerCase()}`,
    fix:
      blockedFixes[reason] ??
      'its server may answer with Cross-Origin-Resource-Policy: cross-origin, or the request use CORS',
    affected: request.url,
  }),
  deprecationIssueDetails: ({ type, sourceCodeLocation }) => ({
    level: 'warning',
    problem: `A deprecated feature is used, ${type}`,
    fix: 'replace it before browsers remove it',
    location: locationOf(sourceCodeLocation),
  }),
  quirksModeIssueDetails: ({ isLimitedQuirksMode, url }) => ({
    level: 'info',
    problem: `The document is laid out in ${isLimitedQuirksMode ? 'limited quirks mode' : 'quirks mode'}`,
    fix: 'begin it with <!doctype html>',
    location: { url, line: undefined, column: undefined },
  }),
  genericIssueDetails: ({ errorType, request, violatingNodeAttribute }) => ({
    level: errorType === 'ResponseWasBlockedByORB' ? 'error' : 'info',
    problem: `${words(errorType.replace(/Error$/, ''))}${violatingNodeAttribute ? ` (attribute ${violatingNodeAttribute})` : ''}`,
    fix: errorType === 'ResponseWasBlockedByORB' ? 'answer with the right Content-Type, or load it with CORS' : '',
    affected: request?.url,
  }),
  stylesheetLoadingIssueDetails: ({ styleSheetLoadingIssueReason: reason, sourceCodeLocation }) =>
    // Of one that could not be loaded, Chrome's log tells the reason.
    reason === 'LateImportRule'
      ? {
          level: 'error',
          problem: 'An @import comes after other rules and is ignored',
          fix: 'move it to the top of the style sheet',
          location: locationOf(sourceCodeLocation),
        }
      : undefined,
  propertyRuleIssueDetails: ({ propertyRuleIssueReason, propertyValue = '', sourceCodeLocation }) => ({
    level: 'warning',
    problem: `An @property rule is ignored: ${words(propertyRuleIssueReason).toLowerCase()} ${propertyValue}`.trim(),
    fix: 'give it syntax, inherits and a fitting initial-value',
    location: locationOf(sourceCodeLocation),
  }),
  sharedArrayBufferIssueDetails: ({ isWarning, sourceCodeLocation }) => ({
    level: isWarning ? 'warning' : 'error',
    problem: 'SharedArrayBuffer needs cross-origin isolation',
    fix: 'answer with Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp',
    location: locationOf(sourceCodeLocation),
  }),
  heavyAdIssueDetails: ({ reason }) => ({
    level: 'warning',
    problem: `A frame that counts as advertising used too much: ${words(reason).toLowerCase()}`,
    fix: '',
  }),
};

import type { ApiCall, ExtensionRequest } from './callLog.js';
import type { ExtensionRecorder } from './extensionRecorder.js';
import { answerProblem, type ExtensionMessage } from './messageLog.js';
import type { StorageChange } from './storageChangeLog.js';

/** One event between the contexts of an extension. */
export interface FlowEvent {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly kind: 'message' | 'reply' | 'storage' | 'call' | 'request';
  readonly from: string;
  /** Empty where nobody is known to have received it. */
  readonly to: readonly string[];
  readonly label: string;
  /** Why a message has no answer. */
  readonly problem: string | undefined;
}

/** Where calls and changes go to. */
const chromeName = 'chrome';

/** The newest messages, ports, requests, storage changes and traced API calls of an extension, in the order of time. */
export function flowOf(activity: ExtensionRecorder, extensionId: string, max: number): FlowEvent[] {
  const own = <T extends { readonly extensionId: string }>(entries: readonly { readonly value: T }[]): T[] =>
    entries.map(({ value }) => value).filter((value) => value.extensionId === extensionId);
  const events = [
    ...own(activity.messages.read().entries).flatMap(messageEvents),
    ...own(activity.storage.read().entries).map(storageEvent),
    ...own(activity.calls.read().entries).map(callEvent),
    ...own(activity.requests.read().entries).map(requestEvent),
  ];
  return events.sort((a, b) => a.at - b.at).slice(-max);
}

function problemAt(message: ExtensionMessage): string | undefined {
  const [problem, { place }] = [answerProblem(message), message];
  return problem === undefined || place === undefined ? problem : `Sent at ${place}. ${problem}`;
}

function messageEvents(message: ExtensionMessage): FlowEvent[] {
  const { at, api, from, payload, reply, error, replyMs = 0 } = message;
  // Who answered may be closed, or too busy, before it could report.
  const to = message.to.length === 0 && reply !== undefined ? ['an unseen context'] : message.to;
  const sent: FlowEvent = {
    ...{ at, kind: 'message', from, to },
    label: `${api} ${payload}`,
    problem: problemAt(message),
  };
  const answer = reply ?? error;
  if (answer === undefined) return [sent];
  const label = error === undefined ? answer : `failed: ${answer}`;
  const back: FlowEvent = {
    ...{ at: at + replyMs, kind: 'reply', from: to[0] ?? chromeName, to: [from] },
    label,
    problem: undefined,
  };
  return [sent, back];
}

function storageEvent({ at, area, key, newValue }: StorageChange): FlowEvent {
  const label = newValue === undefined ? `removed ${key}` : `${key} = ${newValue}`;
  return { at, kind: 'storage', from: chromeName, to: [`storage.${area}`], label, problem: undefined };
}

function callEvent({ at, api, context, args, result, error }: ApiCall): FlowEvent {
  const outcome = error === undefined ? (result === undefined ? '' : ` = ${result}`) : ` failed: ${error}`;
  return { at, kind: 'call', from: context, to: [chromeName], label: `${api}(${args})${outcome}`, problem: undefined };
}

/** A request that failed and one whose answer is opaque look alike to the extension. */
function requestEvent({ at, context, url, status, bytes, ms }: ExtensionRequest): FlowEvent {
  const { origin, pathname, search } = URL.canParse(url) ? new URL(url) : { origin: url, pathname: '', search: '' };
  const label = `${pathname}${search} ${status === 0 ? 'no status' : status}, ${bytes} B, ${ms} ms`;
  const problem =
    status === 0
      ? 'It failed, or its answer is opaque (no-cors). get_extension_logs says so if CORS refused it.'
      : undefined;
  return { at, kind: 'request', from: context, to: [origin], label, problem };
}

const maxParticipants = 12;

/** The flow as a sequence diagram of Mermaid. */
export function mermaidOf(events: readonly FlowEvent[], shorten: (text: string) => string): string {
  const names = [...new Set(events.flatMap(({ from, to }) => [from, ...to]))];
  const idOf = (name: string): string => `c${Math.min(names.indexOf(name), maxParticipants)}`;
  const participants = names.slice(0, maxParticipants).map((name) => `  participant ${idOf(name)} as ${plain(name)}`);
  if (names.length > maxParticipants) participants.push(`  participant c${maxParticipants} as others`);
  const lines = events.flatMap(({ kind, from, to, label, problem }) => {
    const [arrow, text] = [kind === 'reply' ? '-->>' : '->>', plain(shorten(label))];
    const targets = to.length === 0 ? [from] : to;
    return [
      ...targets.map((target) =>
        to.length === 0
          ? `  ${idOf(from)}-x${idOf(target)}: ${text}`
          : `  ${idOf(from)}${arrow}${idOf(target)}: ${text}`,
      ),
      ...(problem === undefined ? [] : [`  Note over ${idOf(from)}: ${plain(problem)}`]),
    ];
  });
  return ['sequenceDiagram', ...participants, ...lines].join('\n');
}

/** Mermaid ends a statement at `;` and a line end, and takes `#` for an entity. */
const plain = (text: string): string => text.replace(/[;#\s]+/g, ' ').trim();

import type { BrowserPool } from '../browser/pool/browserLease.js';
import type { ClusterStore } from '../cluster/clusterStore.js';
import type { EventLog } from '../cluster/eventLog.js';
import type { Directory } from '../cluster/ownership.js';
import type { Clock } from '../clock.js';
import { ConfigError, type Config, type Options } from '../config/config.js';
import { Refusal } from '../errors/errors.js';
import type { Log } from '../log.js';
import type { Prompt, Resource } from '../mcp/definitions.js';
import { instructions, allPrompts } from '../mcp/prompts.js';
import { allSkills } from '../mcp/skills.js';
import { compileFeatures, type ServerFeatures } from '../mcp/features.js';
import type { Secrets } from '../mcp/secrets.js';
import type { Implementation, PrepareBrowser } from '../mcp/methodContext.js';
import { packageInfo } from '../packageInfo.js';
import type { OpenSession } from '../session/embedderView.js';
import type { Observation } from '../telemetry/observer.js';
import { parseProfileChoice, UnknownProfileError, type ProfileChoice } from '../mcp/clientProfiles.js';
import { compileCatalogue, UnknownGroupError, type Catalogue, type ToolSet } from '../tools/catalogue.js';
import type { Tool } from '../tools/defineTool.js';
import { allTools } from '../tools/allTools.js';

/** The choices of an embedder; each default is that of this package's own server. */
export interface Embedding {
  /**
   * Default: every tool of this package, with its prompts, skills and instructions. The tools of an embedder are all listed unless
   * `options.tools` selects groups; if no tool needs a browser, none is started and `pool` is not needed.
   */
  readonly tools?: readonly Tool[];
  readonly prompts?: readonly Prompt[];
  readonly resources?: readonly Resource[];
  /** The `serverInfo` of initialize. Default: this package. */
  readonly serverInfo?: Implementation;
  /** The `instructions` of initialize, for the model. */
  readonly instructions?: string;
  /**
   * Runs once for each session before it is announced (S1). A rejection closes the session, and the client gets the cause
   * (S8). The signal aborts if the session ends first.
   */
  readonly onSession?: (session: OpenSession, signal: AbortSignal) => Promise<void> | void;
}

export interface OrchestratorOptions extends Embedding {
  /** As the flags, in camelCase. */
  readonly options?: Options;
  /** A configuration that is checked already; used instead of `options`. */
  readonly config?: Config;
  /** The source of browsers; the orchestrator closes it. Default: launched or attached, as configured. */
  readonly pool?: BrowserPool;
  /** Called before a tool uses a browser. Default: nothing; without a browser the tool fails. */
  readonly prepareBrowser?: PrepareBrowser;
  /** The values of `CHROME_PATH` and `PATH`, to find a browser, and whether the environment names a proxy. */
  readonly search?: {
    readonly chromePath?: string | undefined;
    readonly searchPath?: string | undefined;
    readonly hasProxy?: boolean;
  };
  readonly log?: Log;
  readonly clock?: Clock;
  /** Where sessions are claimed. Default: this process alone. */
  readonly directory?: Directory;
  /** The events of Streamable HTTP streams, for replay. Default: the memory of this process. */
  readonly eventLog?: EventLog;
  /** The store that nodes share. Default: the Redis of `redisUrl`, or none. The orchestrator closes it. */
  readonly store?: ClusterStore;
  /** Receives every observation, after the log and the metrics. */
  readonly observe?: (observation: Observation) => void;
}

/** The options of the embedder with the defaults filled in. */
export interface Setup extends OrchestratorOptions {
  readonly config: Config;
  /** Whether the embedder selected tool groups: by `config`, or by `options.tools`. */
  readonly hasChosenGroups: boolean;
  readonly clock: Clock;
  /** Shows neither secrets nor credentials. */
  readonly log: Log;
  readonly secrets: Secrets;
}

/** The embedding, compiled once and shared by every session. */
export interface CompiledEmbedding {
  readonly features: ServerFeatures;
  readonly serverInfo: Implementation;
  readonly needsBrowser: boolean;
  /** The tools of `?tools=`, or the default tools for null. Throws a Refusal on an unknown group. */
  selectTools(groups: string | null): ToolSet;
  /** What the operator chose for every client. */
  readonly profileChoice: ProfileChoice;
}

/** Compiles tools, prompts and resources. Throws on a duplicate name, and a ConfigError on an unknown default group. */
export function compileEmbedding(embedding: Setup, groups: readonly string[]): CompiledEmbedding {
  const usesDefaults = embedding.tools === undefined;
  const tools = embedding.tools ?? allTools;
  return {
    features: compileFeatures({
      instructions: embedding.instructions ?? (usesDefaults ? instructions : undefined),
      prompts: embedding.prompts ?? (usesDefaults ? allPrompts : []),
      skills: usesDefaults ? allSkills : [],
      resources: embedding.resources ?? [],
      isExtensible: embedding.onSession !== undefined,
    }),
    serverInfo: embedding.serverInfo ?? packageInfo,
    needsBrowser: tools.some(({ needs }) => needs !== 'nothing'),
    selectTools: createToolSelector(compileCatalogue(tools), groups),
    profileChoice: readProfileChoice(embedding.config),
  };
}

function readProfileChoice({ structured, clientProfile }: Config): ProfileChoice {
  try {
    return parseProfileChoice(structured ? `structured=1,${clientProfile}` : clientProfile);
  } catch (error) {
    throw error instanceof UnknownProfileError
      ? new ConfigError(`--client-profile: ${error.message}`, { cause: error })
      : error;
  }
}

function createToolSelector(catalogue: Catalogue, defaults: readonly string[]): CompiledEmbedding['selectTools'] {
  const selectDefault = (): ToolSet => {
    try {
      return catalogue.select(defaults);
    } catch (error) {
      throw error instanceof UnknownGroupError ? new ConfigError(`--tools: ${error.message}`, { cause: error }) : error;
    }
  };
  const chosen = selectDefault();
  return (groups) => {
    if (groups === null) return chosen;
    try {
      return catalogue.select(groups.split(',').filter(Boolean));
    } catch (error) {
      if (error instanceof UnknownGroupError) throw new Refusal('invalid_parameter', { detail: error.message });
      throw error;
    }
  };
}
